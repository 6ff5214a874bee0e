"""Has a state for each item under its text, and resumes in the order of these keys, which is not that of the items.

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


class ByText:
    def work(self, items, partition, ctx):
        run = hashlib.sha256(json.dumps([items, partition]).encode()).hexdigest() + "/"
        made = {}
        for key in ctx.checkpoint.list(run):
            state, _ = ctx.checkpoint.load(key)
            if state is not None:
                made[key.removeprefix(run)] = state
        for item in items:
            if item not in made:
                made[item] = item.upper()
                ctx.checkpoint.save(run + item, made[item])
        for item in made:
            ctx.checkpoint.save(run + item, None)
        return {"results": list(made.values()), "count": len(made)}
