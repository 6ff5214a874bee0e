"""Promises output_hash, which needs clock and rng, and has the clock among the optional resources.

kind = "job"

[resources]
required = ["rng"]
optional = ["clock"]

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "output_hash"
content_hash = ["items"]
"""


class OutputHashWithoutAClock:
    def work(self, items):
        return {"results": sorted(items), "count": len(items)}
