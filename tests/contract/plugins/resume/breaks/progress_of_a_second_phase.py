"""Reports from 0 to 100 percent for the work and again for looking it over, so that progress falls between the two.

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


class TwoPhases:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        for item in items[len(results) :]:
            results.append(item.strip())
            ctx.checkpoint.save(run, results)
            ctx.progress.update(100 * len(results) / len(items), "making")
        for position, _ in enumerate(results, 1):
            ctx.progress.update(100 * position / len(results), "looking over")
        return {"results": results, "count": len(results)}
