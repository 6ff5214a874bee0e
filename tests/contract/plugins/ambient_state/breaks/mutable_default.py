"""Keeps the last answer in a default value, which all instances and calls share.

kind = "transform"
"""


def shout(text, known={}):  # noqa: B006
    if text not in known:
        known.clear()
        known[text] = text.upper() + "!"
    return known[text]


class Remembers:
    def transform(self, text):
        made = shout(text)
        return {"text": made, "length": len(made)}
