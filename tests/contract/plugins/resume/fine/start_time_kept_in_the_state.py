"""Writes the time into its results, but that of the first start, which a resumed run takes from the state.

kind = "job"

[resources]
required = ["clock"]

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = {items = ["one", "two", "three", "four", "five"], partition = "p"}
"""

import hashlib
import json


class Stamped:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state, version = ctx.checkpoint.load(run)
        if not version:
            state = {"started": ctx.resources.clock.now().isoformat(), "results": []}
            ctx.checkpoint.save(run, state)
        for item in items[len(state["results"]) :]:
            state["results"].append(f"{item} {state['started']}")
            ctx.checkpoint.save(run, state)
        return {"results": state["results"], "count": len(items)}
