"""Answers by how much its input is longer than the one before.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
content_hash = ["text"]
"""


class Compares:
    def setup(self, ctx):
        self.last = ""

    def transform(self, text):
        longer = len(text) - len(self.last)
        self.last = text
        return {"text": f"{longer:+d}"}
