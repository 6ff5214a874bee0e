"""Reads the text as JSON, which fails on most texts and on deep ones by recursion, and then splits it plainly.

kind = "splitter"
fallback = true
"""

import json


class StrictFirstThenPlain:
    def split(self, text):
        try:
            found = json.loads(text)
            parts = [key for key in found if isinstance(found[key], str)] if isinstance(found, dict) else []
            return {"parts": [part.encode("utf-8", "replace").decode() for part in parts] or [text]}
        except (ValueError, RecursionError):
            return {"parts": text.split("\n")}
