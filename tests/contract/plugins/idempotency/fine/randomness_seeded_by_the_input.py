"""Shuffles by a generator of its own that is seeded by the input, so the same input gives the same order.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items", "partition"]
"""

import json
import random


class Shuffles:
    def work(self, items, partition):
        order = random.Random(json.dumps([items, partition]))
        results = list(items)
        order.shuffle(results)
        return {"results": results, "count": len(results)}
