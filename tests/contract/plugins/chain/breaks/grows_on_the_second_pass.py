"""Keeps to the length when it first sees a text, and adds a remark to what it has seen before, however long.

kind = "cleaner"
"""

SEEN = "[seen]"


class GrowsOnTheSecondPass:
    def clean(self, text):
        if text.endswith(SEEN):
            return {"text": f"{text} [seen more than once]"}
        return {"text": text[: 100 - len(SEEN)].ljust(90) + SEEN}
