"""Leaves out of the fields to hash one that its answer depends on.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
content_hash = ["text"]

[contract.examples]
transform = [{text = "ab", times = 1}, {text = "ab", times = 4}]
"""


class Repeats:
    def transform(self, text, times):
        return {"text": text * times, "length": len(text) * times}
