"""Looks at the first character of the text, which an empty text does not have.

kind = "splitter"
fallback = true
"""


class FirstCharacterOfNothing:
    def split(self, text):
        separator = "\n" if text[0].isalpha() else " "
        return {"parts": [part for part in text.split(separator) if part]}
