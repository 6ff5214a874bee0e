"""Keeps results in the instance, where the same process finds them after an error, but no new process does.

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


class KeepsThemAtHand:
    def setup(self, ctx):
        self.checkpoint = ctx.checkpoint
        self.unfinished = {}

    def work(self, items, partition):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest()
        done = self.checkpoint.load(run)[0] or 0
        results = self.unfinished.setdefault(run, [])
        for position in range(done, len(items)):
            results.append(items[position].casefold())
            self.checkpoint.save(run, position + 1)
        del self.unfinished[run]
        self.checkpoint.save(run, 0)
        return {"results": results, "count": len(results)}
