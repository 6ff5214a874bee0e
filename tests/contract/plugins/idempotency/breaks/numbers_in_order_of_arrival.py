"""Gives each text the next number when it first sees it, and the same ever after, so that another order gives others.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
"""


class Numbers:
    def setup(self, ctx):
        self.numbers = {}

    def transform(self, text):
        number = self.numbers.setdefault(text, len(self.numbers))
        return {"text": f"#{number}", "length": len(text)}
