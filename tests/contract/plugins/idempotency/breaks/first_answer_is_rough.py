"""Gives a rough answer to the first call after its setup, and good ones from then on.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
"""


class WarmsUp:
    def setup(self, ctx):
        self.warm = False

    def transform(self, text):
        if not self.warm:
            self.warm = True
            return {"text": f"{text}?"}
        return {"text": f"{text}!"}
