"""Marks the end by a state without results, so a run that is killed right after that mark returns nothing.

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


class EndsEarly:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state = ctx.checkpoint.load(run)[0] or {"finished": False, "results": []}
        results = state["results"]
        if not state["finished"]:
            for item in items[len(results) :]:
                results.append(item.strip())
                ctx.checkpoint.save(run, {"finished": False, "results": results})
            ctx.checkpoint.save(run, {"finished": True, "results": []})
        ctx.checkpoint.save(run, None)
        return {"results": results, "count": len(results)}
