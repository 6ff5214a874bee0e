"""Exits where the text is longer than it cares for, which no short text ever shows.

kind = "splitter"
fallback = true
"""

LIMIT = 500_000


class Guarded:
    def __init__(self, text):
        if len(text) > LIMIT:
            raise SystemExit(f"more than {LIMIT} characters")
        self.lines = text.splitlines()


class ExitsOnVeryLongTexts:
    def split(self, text):
        return {"parts": Guarded(text).lines}
