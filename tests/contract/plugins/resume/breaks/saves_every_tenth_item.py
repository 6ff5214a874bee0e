"""Saves after every tenth item, which its input never has, so that nothing is ever saved.

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


class SavesSeldom:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        results = ctx.checkpoint.load(run)[0] or []
        for item in items[len(results) :]:
            results.append(item.replace("e", "3"))
            if len(results) % 10 == 0:
                ctx.checkpoint.save(run, results)
        return {"results": results, "count": len(results)}
