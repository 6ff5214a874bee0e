"""Reads the first line from a generator, which stays where it is, inside its with.

kind = "transform"
"""

from pathlib import Path


def lines_of(path):
    with path.open(encoding="utf-8") as file:
        yield from file


class ReadsOneLine:
    def setup(self):
        self.lines = lines_of(Path(__file__))
        self.first = next(self.lines).strip()

    def transform(self, text):
        return {"text": f"{text} {self.first}"}
