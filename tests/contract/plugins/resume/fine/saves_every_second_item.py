"""Saves after every second item and at the end, and does no more than one item again.

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


class EverySecond:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        for item in items[len(results) :]:
            results.append(item.replace("o", "0"))
            if len(results) % 2 == 0 or len(results) == len(items):
                ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
