"""Saves how far it is but not what it made, so a resumed run returns the rest only.

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


class Cursor:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        done = ctx.checkpoint.load(run)[0] or 0
        results = []
        for position in range(done, len(items)):
            results.append(items[position].lower())
            ctx.checkpoint.save(run, position + 1)
        ctx.checkpoint.save(run, None)
        return {"results": results, "count": len(results)}
