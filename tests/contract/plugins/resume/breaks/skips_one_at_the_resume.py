"""Takes the saved position for that of the last item done, though it is that of the next, and so leaves one out.

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


class OneTooFar:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        state, version = ctx.checkpoint.load(run)
        results = state["results"] if version else []
        begin = state["next"] + 1 if version else 0
        for position in range(begin, len(items)):
            results.append(f"{len(items[position])}")
            ctx.checkpoint.save(run, {"next": position + 1, "results": results})
        return {"results": results, "count": len(results)}
