"""Fills the text up with astral characters, to a hundred characters which are more in UTF-16 and in bytes.

kind = "cleaner"
"""


class HundredAstralCharacters:
    def clean(self, text, language="en"):
        return {"text": text.ljust(100, "\N{GRINNING FACE}"), "language": language}
