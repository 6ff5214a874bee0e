"""Makes its key of the items joined together, which is the same for items that were cut otherwise.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = [{items = ["a", "bcd", "e"], partition = "p"}, {items = ["ab", "cd", "e"], partition = "p"}]
"""

import hashlib


class Joined:
    def work(self, items, partition, ctx):
        run = f"{partition}/{hashlib.sha256(''.join(items).encode()).hexdigest()}"
        results = ctx.checkpoint.load(run)[0] or []
        for item in items[len(results) :]:
            results.append(str(len(item)))
            ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
