"""Puts its items through a set, whose order differs between processes, and sorts what comes out.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]
"""


class Distinct:
    def work(self, items):
        results = sorted({item.casefold() for item in items})
        return {"results": results, "count": len(results)}
