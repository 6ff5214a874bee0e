"""Adds each combining character to the letter before it, where a text may begin with one.

kind = "splitter"
fallback = true
"""

import unicodedata


class MarkWithoutALetter:
    def split(self, text):
        letters = []
        for character in text:
            if unicodedata.combining(character):
                letters[-1] += character
            else:
                letters.append(character)
        return {"parts": ["".join(letters[begin : begin + 80]) for begin in range(0, len(letters), 80)]}
