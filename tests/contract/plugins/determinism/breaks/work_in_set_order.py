"""Works through what a set leaves of its items, in the set's order.

kind = "job"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
partition_key = "partition"
content_hash = ["items", "partition"]
idempotency_mode = "output_hash"

[contract.examples]
work = {items = ["ash", "birch", "cedar", "dogwood", "elm", "fir", "hazel", "ash"], partition = "2024-02-29"}
"""


class Works:
    def work(self, items, partition):
        results = [f"{partition}/{item}" for item in set(items) - {partition}]
        return {"results": results, "count": len(results)}
