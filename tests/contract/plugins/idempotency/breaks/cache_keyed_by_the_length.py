"""Keeps its answers by the length of the text, so that the first text of a length answers for all.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"

[contract.examples]
transform = [{text = "one"}, {text = "two"}]
"""


class Caches:
    def setup(self, ctx):
        self.answers = {}

    def transform(self, text):
        if len(text) not in self.answers:
            self.answers[len(text)] = {"text": text.upper()}
        return self.answers[len(text)]
