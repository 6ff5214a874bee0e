"""Loads under a key for the items that are left, but saves under one that shrinks with them, so it never finds its own.

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


class LosesTheKey:
    def work(self, items, partition, ctx):
        left = list(items)
        results = ctx.checkpoint.load(self._key(partition, left))[0] or []
        left = left[len(results) :]
        while left:
            results.append(left.pop(0)[::-1])
            ctx.checkpoint.save(self._key(partition, left), results)
        return {"results": results, "count": len(results)}

    def _key(self, partition, items):
        return hashlib.sha256(json.dumps([partition, items]).encode()).hexdigest()
