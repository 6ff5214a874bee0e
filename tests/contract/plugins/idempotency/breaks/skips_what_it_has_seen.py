"""Leaves out items that an earlier call had, so that the second call with an input returns nothing.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]
"""


class Deduplicates:
    def setup(self, ctx):
        self.seen = set()

    def work(self, items):
        results = []
        for item in items:
            if item not in self.seen:
                self.seen.add(item)
                results.append(item.upper())
        return {"results": results, "count": len(results)}
