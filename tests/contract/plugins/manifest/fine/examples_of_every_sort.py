"""Gives one example as a table, several as a list, an empty one, and one with the plugin's own folder in it.

kind = "transform"

[contract.examples]
transform = [{text = ""}, {text = "${plugin}", times = 0}, {text = "words", times = 5}]
describe = {}
"""


class ExamplesOfEverySort:
    def transform(self, text, times=1):
        return {"text": "given" * times if text else ""}

    def describe(self):
        return {"repeats": True}
