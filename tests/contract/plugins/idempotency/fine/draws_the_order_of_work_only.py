"""Draws from the host's randomness in what order it works, which the sorted results do not show.

kind = "job"

[resources]
required = ["rng"]

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]
"""


class AnyOrder:
    def work(self, items, ctx):
        left = list(items)
        results = []
        while left:
            results.append(left.pop(ctx.resources.rng.next_int(0, len(left) - 1)).upper())
        return {"results": sorted(results), "count": len(results)}
