"""Keeps a list by its input and adds to that same list each time it hands it out.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]
"""


class AddsToIt:
    def setup(self, ctx):
        self.kept = {}

    def work(self, items):
        results = self.kept.setdefault(tuple(items), [item.lower() for item in items])
        results.append(f"{len(items)} in all")
        return {"results": list(results), "count": len(items)}
