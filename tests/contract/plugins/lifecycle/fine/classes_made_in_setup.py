"""Makes classes in setup, which are heavy and full of cycles, but go when they are dropped.

kind = "job"
"""

import dataclasses
from typing import NamedTuple


class MakesClasses:
    def setup(self):
        self.pair = NamedTuple("Pair", [("name", str), ("length", int)])
        self.entry = dataclasses.make_dataclass("Entry", [("pair", self.pair)], bases=(Base,))

    def work(self, items, partition):
        entries = [self.entry(self.pair(item, len(item))) for item in items]
        return {"results": [entry.told() for entry in entries], "count": len(entries)}

    def teardown(self):
        del self.pair, self.entry


class Base:
    def told(self):
        return f"{self.pair.name} {self.pair.length}"
