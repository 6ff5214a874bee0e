"""Saves in two phases under one key, and the state says which of the two it was in.

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


class TwoPhases:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state = ctx.checkpoint.load(run)[0] or {"lengths": [], "results": []}
        for item in items[len(state["lengths"]) :]:
            state["lengths"].append(len(item))
            ctx.checkpoint.save(run, state)
        longest = max(state["lengths"])
        for item in items[len(state["results"]) :]:
            state["results"].append(item.rjust(longest))
            ctx.checkpoint.save(run, state)
        return {"results": state["results"], "count": len(items)}
