"""Hands work to three queues by turns, so that every third call with an input agrees and the others don't.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items", "partition"]
"""

import itertools


class ByTurns:
    def setup(self, ctx):
        self.queues = itertools.cycle(["red", "green", "blue"])

    def work(self, items):
        queue = next(self.queues)
        return {"results": [f"{queue}: {item}" for item in items], "count": len(items)}
