"""Goes on at the item that was done last, whose result it has already, and so has it twice.

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


class OneTwice:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state = ctx.checkpoint.load(run)[0] or {"at": 0, "results": []}
        results = state["results"]
        for position in range(state["at"], len(items)):
            results.append(items[position].swapcase())
            ctx.checkpoint.save(run, {"at": position, "results": results})
        ctx.checkpoint.save(run, None)
        return {"results": results, "count": len(results)}
