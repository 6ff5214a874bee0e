"""Writes into its answer how many calls there were since its setup.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
"""


class Counts:
    def setup(self, ctx):
        self.calls = 0

    def transform(self, text):
        self.calls += 1
        return {"text": f"{self.calls}: {text}", "length": len(text)}
