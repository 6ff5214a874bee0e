"""Leaves its partition key out of the fields to hash, as the result does not depend on it.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]
"""


class Quotes:
    def setup(self, ctx):
        self.log = ctx.logger

    def work(self, items, partition):
        self.log.debug("partition %r", partition)
        return {"results": [repr(item) for item in items], "count": len(items)}
