"""Writes the text in capitals, of which some letters need two or three.

kind = "cleaner"

[contract.examples]
clean = [{text = "grüße", language = "de"}, {text = "ßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßß"}]
"""


class CapitalsAreLonger:
    def clean(self, text):
        return {"text": text.upper()}
