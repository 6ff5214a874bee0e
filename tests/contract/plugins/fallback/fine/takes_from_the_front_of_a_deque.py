"""Takes character after character from the front of a deque, which costs the same each time.

kind = "splitter"
fallback = true
"""

from collections import deque


class TakesFromTheFrontOfADeque:
    def split(self, text):
        left, parts, word = deque(text), [], []
        while left:
            word.append(left.popleft())
            if len(word) == 1000 or word[-1] == "\n":
                parts.append("".join(word))
                word.clear()
        return {"parts": [*parts, "".join(word)] if word else parts}
