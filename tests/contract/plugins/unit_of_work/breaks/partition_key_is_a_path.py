"""Names as its partition key a way into the payload, which is no property.

kind = "job"

[unit_of_work]
declared = true
partition_key = "items.0"
"""


class ByFirstItem:
    def work(self, items):
        first = items[0]
        return {"results": [item.removeprefix(first) for item in items], "count": len(items)}
