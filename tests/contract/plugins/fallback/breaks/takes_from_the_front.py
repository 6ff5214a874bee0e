"""Takes character after character from the front of a list, which moves all the others each time.

kind = "splitter"
fallback = true
"""


class TakesFromTheFront:
    def split(self, text):
        left, parts, word = list(text), [], []
        while left:
            character = left.pop(0)
            if character.isspace() or len(word) == 1000:
                parts.append("".join(word))
                word.clear()
            if not character.isspace():
                word.append(character)
        return {"parts": [part for part in [*parts, "".join(word)] if part]}
