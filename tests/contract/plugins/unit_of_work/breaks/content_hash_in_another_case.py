"""Names three fields to hash, the last of them with a capital that the property does not have.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items", "partition", "Note"]
"""


class Signs:
    def work(self, items, partition):
        return {"results": [f"{item} ({partition})" for item in items], "count": len(items)}
