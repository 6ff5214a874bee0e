"""Adds a mark that would be too long in the end, but only to texts that don't have it yet.

kind = "cleaner"
"""

MARK = " [checked]"


class MarksOnce:
    def clean(self, text):
        return {"text": text if text.endswith(MARK) else text[: 100 - len(MARK)] + MARK}
