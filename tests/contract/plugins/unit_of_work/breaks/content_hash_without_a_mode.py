"""Names the fields to hash, but says that its runs may differ, so that nobody hashes them.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "none"
content_hash = ["items", "partition"]
"""


class Cuts:
    def work(self, items):
        return {"results": [item[:3] for item in items], "count": len(items)}
