"""Looks for cries such as aaah by a regular expression that tries all ways to share out a run of that letter.

kind = "splitter"
fallback = true
"""

import re

CRY = re.compile(r"(?:a*a+h?)+[.]?")


class TriesAllWays:
    def split(self, text):
        parts = [[]]
        for line in text.splitlines():
            if CRY.fullmatch(line):
                parts.append([])
            parts[-1].append(line)
        return {"parts": ["\n".join(part) for part in parts if part]}
