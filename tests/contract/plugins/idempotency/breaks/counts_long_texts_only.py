"""Counts calls with a text of more than 30 characters and answers all others as it should.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"

[contract.examples]
transform = [{text = "short"}, {text = "a text that is rather longer than the other one"}]
"""


class Abridges:
    def setup(self, ctx):
        self.abridged = 0

    def transform(self, text):
        if len(text) <= 30:
            return {"text": text}
        self.abridged += 1
        return {"text": f"{text[:30]} [{self.abridged}]"}
