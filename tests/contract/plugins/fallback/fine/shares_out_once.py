"""Looks for headings by a regular expression with nested repeats, which gives nothing back once it has matched.

kind = "splitter"
fallback = true
"""

import re

HEADING = re.compile(r"(?:[a-z]++(?>[ _-]*+))*+:")


class SharesOutOnce:
    def split(self, text):
        parts = [[]]
        for line in text.splitlines():
            if HEADING.fullmatch(line):
                parts.append([])
            parts[-1].append(line)
        return {"parts": ["\n".join(part) for part in parts if part]}
