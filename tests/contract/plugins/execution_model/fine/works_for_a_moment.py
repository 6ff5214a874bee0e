"""Computes in its first call for some time, but for far less than a second.

kind = "transform"
"""

from functools import cached_property


class ComputesBriefly:
    @cached_property
    def total(self):
        return sum(range(2_000_000))

    def transform(self, text):
        return {"text": f"{text} {self.total}"}
