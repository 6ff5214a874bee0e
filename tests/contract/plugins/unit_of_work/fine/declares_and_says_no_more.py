"""Declares a unit of work without partition, mode or hash, none of which is a must.

kind = "job"

[unit_of_work]
declared = true
estimated_duration_sec = 0.001
"""


class Numbers:
    def work(self, items):
        return {"results": [f"{number}. {item}" for number, item in enumerate(items, 1)], "count": len(items)}
