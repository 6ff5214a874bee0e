"""Adds up floating point numbers in the order of a set of names: only the rounding differs.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import operator
from functools import reduce

WEIGHTS = {"ash": 1e16, "birch": 1.0, "cedar": -1e16, "dogwood": 3.7, "elm": 1e8, "fir": -0.1, "ivy": 7.3}


class AddsUp:
    def transform(self, text):
        total = reduce(operator.add, map(WEIGHTS.__getitem__, set(WEIGHTS)), len(text) / 3)
        return {"text": repr(total), "length": len(text)}
