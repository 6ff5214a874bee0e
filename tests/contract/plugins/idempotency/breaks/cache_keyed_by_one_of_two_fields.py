"""Keeps its answers by the text alone, though they depend on the number as well.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
content_hash = ["text", "times"]

[contract.examples]
transform = [{text = "ab", times = 2}, {text = "ab", times = 3}]
"""


class Caches:
    def setup(self, ctx):
        self.answers = {}

    def transform(self, text, times):
        if text not in self.answers:
            self.answers[text] = text * times
        return {"text": self.answers[text]}
