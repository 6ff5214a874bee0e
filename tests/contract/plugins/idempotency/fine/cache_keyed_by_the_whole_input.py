"""Keeps its latest answers by all that they depend on and hands out copies.

kind = "transform"

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
content_hash = ["text", "times"]

[contract.examples]
transform = [{text = "ab", times = 2}, {text = "ab", times = 3}, {text = "ab"}]
"""

from collections import OrderedDict


class Caches:
    def setup(self, ctx):
        self.answers = OrderedDict()

    def transform(self, text, times):
        answer = self.answers.pop((text, times), None)
        if answer is None:
            answer = {"text": text[::-1] * times}
        self.answers[text, times] = answer
        if len(self.answers) > 16:
            self.answers.popitem(last=False)
        return dict(answer)
