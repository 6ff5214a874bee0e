"""Reports after a resume first how much is done of all and then how much of the rest, which is less.

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


class OfTheRest:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        ctx.progress.update(100 * len(results) / len(items), "found")
        rest = items[len(results) :]
        for number, item in enumerate(rest, 1):
            results.append(item.rjust(8, "."))
            ctx.checkpoint.save(run, results)
            ctx.progress.update(100 * number / len(rest), "made")
        return {"results": results, "count": len(results)}
