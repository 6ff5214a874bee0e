"""Has an optional property as its partition key, and runs without it fall into a partition of its own making.

kind = "job"

[unit_of_work]
declared = true
partition_key = "note"
estimated_duration_sec = 0.5
"""


class ByNote:
    def work(self, items, note="default"):
        return {"results": [f"{note}/{item}" for item in items], "count": len(items)}
