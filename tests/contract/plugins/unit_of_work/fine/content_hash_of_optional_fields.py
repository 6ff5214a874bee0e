"""Hashes a field that may be missing, which identifies a run as well as one that is there.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items", "note"]
"""


class Annotates:
    def work(self, items, note=None):
        told = "" if note is None else f" ({note})"
        return {"results": [item + told for item in items], "count": len(items)}
