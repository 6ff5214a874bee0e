"""Saves each result once under a key of its own and resumes by listing them, in the order of numbers with zeros before.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = {items = ["one", "two", "two", "three", "four"], partition = "p"}
"""

import hashlib
import json


class Listed:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = [ctx.checkpoint.load(key)[0] for key in ctx.checkpoint.list(f"{run}/")]
        for position in range(len(results), len(items)):
            results.append(f"{position}. {items[position]}")
            ctx.checkpoint.save(f"{run}/{position:04}", results[-1])
        return {"results": results, "count": len(results)}
