"""Saves what went wrong before it raises, and at no other time, not having said that it can be resumed.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"

[contract.examples]
work = [{items = ["a", "b"], partition = "p"}, {items = ["a", "", "b"], partition = "p"}]
"""


class FirstLetters:
    def work(self, items, partition, ctx):
        if "" in items:
            ctx.checkpoint.save(f"failed/{partition}", items.index(""))
            raise ValueError("an empty item has no first letter")
        return {"results": [item[0] for item in items], "count": len(items)}
