"""Drops states of an older version of itself, which is what beginning at the start is for, and goes on from its own.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = {items = ["one", "two", "three", "four", "five"], partition = "p"}
"""

import hashlib
import json

FORMAT = 3


class Versioned:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state, _ = ctx.checkpoint.load(run)
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            state = {"format": FORMAT, "results": []}
        for item in items[len(state["results"]) :]:
            state["results"].append(item.casefold())
            ctx.checkpoint.save(run, state)
        return {"results": state["results"], "count": len(items)}
