"""Names a partition key by the plural of the property that it means.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partitions"
"""


class Counts:
    def work(self, items, partition):
        return {"results": [f"{partition}: {len(item)}" for item in items], "count": len(items)}
