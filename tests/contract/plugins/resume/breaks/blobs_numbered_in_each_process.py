"""Numbers its blobs from 0 in each process, so that a resumed run puts new ones over those of the run before.

kind = "job"
execution_model = "async"

[resources]
required = ["blob_store"]

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = {items = ["one", "two", "three", "four", "five"], partition = "p"}
"""

import hashlib
import itertools
import json


class Numbered:
    async def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        numbers = itertools.count()
        for item in items[len(results) :]:
            await ctx.resources.blob_store.put(f"{run}/{next(numbers)}", item.encode())
            results.append(f"{len(item)} stored")
            ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
