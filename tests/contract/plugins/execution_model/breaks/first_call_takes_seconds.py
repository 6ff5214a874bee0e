"""Computes for seconds in its first call, and keeps the result for all others.

kind = "transform"
"""

from functools import cached_property


class ComputesAtFirst:
    @cached_property
    def total(self):
        return sum(range(180_000_000))

    def transform(self, text):
        return {"text": f"{text} {self.total}"}
