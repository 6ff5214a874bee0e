"""Returns all results after a resume, but a count of those that this process made.

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


class Counts:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        count = 0
        for item in items[len(results) :]:
            results.append(f"<{item}>")
            count += 1
            ctx.checkpoint.save(run, results)
        ctx.checkpoint.save(run, [])
        return {"results": results, "count": count}
