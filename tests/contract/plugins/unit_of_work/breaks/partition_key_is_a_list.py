"""Names as its partition key a required property that holds a list.

kind = "job"

[unit_of_work]
declared = true
partition_key = "items"
"""


class Joins:
    def work(self, items):
        return {"results": ["+".join(items)], "count": len(items)}
