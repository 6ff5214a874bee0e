"""Promises the same output for the same input of a unit of work that it does not declare.

kind = "transform"

[unit_of_work]
idempotency_mode = "input_hash"
"""


class Repeats:
    def transform(self, text, times):
        return {"text": text * times, "length": len(text) * times}
