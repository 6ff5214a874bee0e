"""Hashes the items alone, but answers with the partition in each result.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]

[contract.examples]
work = [{items = ["a", "b"], partition = "p"}, {items = ["a", "b"], partition = "q"}]
"""


class Partitioned:
    def work(self, items, partition):
        return {"results": [f"{partition}/{item}" for item in items], "count": len(items)}
