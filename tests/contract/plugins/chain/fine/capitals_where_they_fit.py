"""Writes the text in capitals where those are no longer than the text may be, and else leaves it.

kind = "cleaner"

[contract.examples]
clean = [{text = "ßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßßß"}]
"""


class CapitalsWhereTheyFit:
    def clean(self, text):
        capitals = text.upper()
        return {"text": capitals if len(capitals) <= 100 else text}
