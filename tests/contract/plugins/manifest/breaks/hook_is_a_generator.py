"""Yields its result instead of returning it.

kind = "splitter"
"""


class HookIsAGenerator:
    def split(self, text):
        parts = []
        for word in text.split():
            parts.append(word)
        yield {"parts": parts}
