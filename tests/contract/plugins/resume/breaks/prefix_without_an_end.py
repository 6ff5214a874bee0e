"""Lists the states of partition "p1" by a prefix that those of partition "p10" have as well.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = [{items = ["one", "two", "three"], partition = "p10"}, {items = ["one", "two", "three"], partition = "p1"}]
"""

import hashlib
import json


class Listed:
    def work(self, items, partition, ctx):
        run = f"{hashlib.sha256(json.dumps(items).encode()).hexdigest()}/{partition}"
        results = [ctx.checkpoint.load(key)[0] for key in ctx.checkpoint.list(run)]
        for position in range(len(results), len(items)):
            results.append(f"{partition}: {items[position]}")
            ctx.checkpoint.save(f"{run}/{position}", results[-1])
        return {"results": results, "count": len(results)}
