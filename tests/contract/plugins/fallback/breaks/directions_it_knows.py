"""Has a table of writing directions without those of the characters that switch the direction.

kind = "splitter"
fallback = true
"""

import unicodedata
from itertools import groupby

RIGHT = dict.fromkeys(("R", "AL", "AN"), True)
LEFT = dict.fromkeys(("L", "EN", "ES", "ET", "CS", "NSM", "BN", "B", "S", "WS", "ON", ""), False)


class DirectionsItKnows:
    def __init__(self):
        self.table = {**LEFT, **RIGHT}

    def goes_right(self, character):
        return self.table[unicodedata.bidirectional(character)]

    def split(self, text):
        return {"parts": ["".join(run) for _, run in groupby(text, self.goes_right)]}
