"""Resolves a relative path, which asks for the working directory, and keeps its last part only.

kind = "transform"
"""

from pathlib import Path


class FindsTheEnding:
    def transform(self, text):
        ending = Path("notes", "page.txt").resolve().suffix
        return {"text": text + ending, "length": len(text) + len(ending)}
