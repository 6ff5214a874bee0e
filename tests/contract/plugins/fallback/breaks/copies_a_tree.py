"""Builds the tree of the markup without recursion, and then copies it by the library, which recurses.

kind = "splitter"
fallback = true
"""

import copy
import re

PIECE = re.compile(r"(?P<close></[^<>]*>)|(?P<open><[^<>]*>|[\[({])|(?P<text>[^<\[({]+|<)")


class CopiesATree:
    def split(self, text):
        root = {"text": [], "below": []}
        way = [root]
        for piece in PIECE.finditer(text):
            if piece["open"]:
                node = {"text": [], "below": []}
                way[-1]["below"].append(node)
                way.append(node)
            elif piece["close"]:
                if len(way) > 1:
                    way.pop()
            else:
                way[-1]["text"].append(piece["text"])
        tree = copy.deepcopy(root)
        return {"parts": tree["text"] + [part for node in tree["below"] for part in node["text"]]}
