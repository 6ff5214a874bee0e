"""Leaves its state behind when it ends, under a key that no other input has.

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


class WholeInput:
    def work(self, items, partition, ctx, note=""):
        run = hashlib.sha256(json.dumps([items, partition, note]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        for item in items[len(results) :]:
            results.append(f"{partition}:{item}:{note}")
            ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
