"""Reports the same percentage twice at a resume, and none that is less than one before.

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


class GoesOn:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        ctx.progress.update(100 * len(results) / len(items), "found")
        for item in items[len(results) :]:
            ctx.progress.update(100 * len(results) / len(items), f"begin {item!r}")
            results.append(item.ljust(8, "."))
            ctx.checkpoint.save(run, results)
            ctx.progress.event("item_done", {"done": len(results)})
        ctx.progress.update(100)
        return {"results": results, "count": len(results)}
