"""Returns UUIDs, which are those of version 5, made of the input.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["partition", "items"]
"""

import json
import uuid


class Identifies:
    def work(self, items, partition):
        made = [str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([partition, item]))) for item in items]
        return {"results": made, "count": len(made)}
