"""Calls itself for each level of the text's structure, but there are four levels, and the last one just cuts.

kind = "splitter"
fallback = true
"""

SEPARATORS = ("\n\n", "\n", ". ", " ")


class RecursionWithAFloor:
    def split(self, text):
        return {"parts": self.parts(text, 0)}

    def parts(self, text, level):
        if len(text) <= 1000:
            return [text] if text.strip() else []
        if level == len(SEPARATORS):
            return [text[begin : begin + 1000] for begin in range(0, len(text), 1000)]
        return [part for piece in text.split(SEPARATORS[level]) for part in self.parts(piece, level + 1)]
