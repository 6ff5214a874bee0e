"""Puts the characters into an array of two bytes each, which astral characters don't fit into.

kind = "splitter"
fallback = true
"""

from array import array


class TwoBytesACharacter:
    def split(self, text):
        codes = array("H", map(ord, text))
        pages = [codes[begin : begin + 500] for begin in range(0, len(codes), 500)]
        return {"parts": ["".join(map(chr, page)) for page in pages]}
