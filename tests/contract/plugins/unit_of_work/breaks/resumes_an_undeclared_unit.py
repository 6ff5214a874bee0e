"""Resumes as it says, but does not declare the unit of work that is resumed.

kind = "job"

[unit_of_work]
checkpointable = true

[contract.examples]
work = {items = ["one", "two", "three", "four"], partition = "p"}
"""

import hashlib
import json


class Uppers:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state, _ = ctx.checkpoint.load(run)
        results = state["results"] if state else []
        for item in items[len(results) :]:
            results.append(item.upper())
            ctx.checkpoint.save(run, {"results": results})
        return {"results": results, "count": len(results)}
