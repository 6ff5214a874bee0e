"""Gives examples under a name that is no hook of its kind.

kind = "transform"

[contract.examples]
transforms = [{text = "words"}]
"""


class ExampleForNoHook:
    def transform(self, text):
        return {"text": text.title()}
