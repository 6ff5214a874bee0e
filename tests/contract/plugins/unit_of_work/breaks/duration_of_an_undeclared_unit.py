"""Estimates how long a unit of work takes that it does not declare.

kind = "transform"

[unit_of_work]
estimated_duration_sec = 2.5
"""


class Swaps:
    def transform(self, text):
        return {"text": text.swapcase()}
