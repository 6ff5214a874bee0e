"""Names as its partition key a required property of what its hook returns, not of what it takes.

kind = "job"

[unit_of_work]
declared = true
partition_key = "count"
"""


class Strips:
    def work(self, items):
        results = [item.strip() for item in items]
        return {"results": results, "count": len(results)}
