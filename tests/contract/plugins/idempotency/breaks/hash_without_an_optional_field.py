"""Leaves out of the fields to hash an optional one that changes its answer by being there.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items", "partition"]

[contract.examples]
work = [{items = ["a"], partition = "p"}, {items = ["a"], partition = "p", note = "by hand"}]
"""


class Marks:
    def work(self, items, note=None):
        mark = "" if note is None else "*"
        return {"results": [item + mark for item in items], "count": len(items)}
