"""Takes the saved results, but walks through all items from the first and saves each of them again.

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


class SavesAgain:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        known = ctx.checkpoint.load(run)[0] or []
        results = []
        for position, item in enumerate(items):
            results.append(known[position] if position < len(known) else item.capitalize())
            ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
