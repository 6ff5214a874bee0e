"""Raises on blank texts, and never makes one of a text that is not blank.

kind = "cleaner"
"""


class Blank(ValueError): ...


class RefusesBlankTexts:
    def clean(self, text, language="en"):
        if not text.strip():
            raise Blank
        return {"text": " ".join(text.split()), "language": language}
