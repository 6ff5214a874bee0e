"""Says which partition a run belongs to, and that runs are no units of work.

kind = "job"

[unit_of_work]
declared = false
partition_key = "partition"
"""


class Reverses:
    def work(self, items):
        return {"results": [item[::-1] for item in items], "count": len(items)}
