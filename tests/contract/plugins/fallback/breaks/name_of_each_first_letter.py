"""Asks the library for the name of each line's first character, and control characters have none.

kind = "splitter"
fallback = true
"""

import unicodedata


class NameOfEachFirstLetter:
    def split(self, text):
        parts, before = [], None
        for line in filter(None, text.split("\n")):
            script = unicodedata.name(line[0]).partition(" ")[0]
            if script != before:
                parts.append(line)
            else:
                parts[-1] += f"\n{line}"
            before = script
        return {"parts": parts}
