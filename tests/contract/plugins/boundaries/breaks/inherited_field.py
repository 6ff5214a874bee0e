"""Answers with a dataclass that inherits a field which the output schema does not admit.

kind = "splitter"
"""

from dataclasses import dataclass, field


@dataclass
class Measured:
    size: int = 0


@dataclass
class Parts(Measured):
    parts: list = field(default_factory=list)

    def __post_init__(self):
        self.size = len(self.parts)


class InheritedField:
    def split(self, text):
        return Parts(parts=text.split())
