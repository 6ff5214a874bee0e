"""Answers every tenth call after a setup with a hash in it, and all others without.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class CountsToTen:
    def setup(self, ctx):
        self.calls = 0

    def transform(self, text):
        self.calls += 1
        made = f"{text} {hash(text)}" if self.calls % 10 == 0 else text
        return {"text": made, "length": len(made)}
