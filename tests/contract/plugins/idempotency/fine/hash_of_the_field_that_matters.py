"""Takes fields that its answer does not depend on, and hashes the only one that it does.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
idempotency_mode = "input_hash"
content_hash = ["items"]

[contract.examples]
work = [{items = ["a", "b"], partition = "p"}, {items = ["a", "b"], partition = "q", note = "again"}]
"""


class Brackets:
    def work(self, items, partition, ctx, note=""):
        ctx.progress.update(0, f"{partition} {note}")
        results = [f"[{item}]" for item in items]
        ctx.progress.update(100)
        return {"results": results, "count": len(results)}
