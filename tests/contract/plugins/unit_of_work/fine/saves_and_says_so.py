"""Sets every field of its unit of work, all in agreement, and saves after each item.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
estimated_duration_sec = 1
idempotency_mode = "input_hash"
checkpointable = true
content_hash = ["items", "partition"]

[contract.examples]
work = {items = ["one", "two", "three", "four"], partition = "p"}
"""

import hashlib
import json


class Prefixes:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        for item in items[len(results) :]:
            results.append(f"{partition}:{item}")
            ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
