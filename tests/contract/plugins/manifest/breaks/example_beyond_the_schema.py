"""Has a second example whose times is above the maximum of the hook's input schema.

kind = "transform"

[contract.examples]
transform = [{text = "words", times = 5}, {text = "words", times = 6}]
"""


class ExampleBeyondTheSchema:
    def transform(self, text, times=1):
        return {"text": text * times}
