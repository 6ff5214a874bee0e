"""Defines an exception, an enum, a dataclass and a base beside it, of which none has the hook.

kind = "splitter"
"""

from dataclasses import dataclass
from enum import Enum


class TooLong(ValueError): ...


class Separator(Enum):
    SPACE = " "


@dataclass
class Parts:
    parts: list


class Cutting:
    class Splitter:
        def split(self, text):
            return text.split(Separator.SPACE.value)

    def cut(self, text):
        if len(text) > 1_000_000:
            raise TooLong
        return Parts(self.Splitter().split(text))


class ManyClasses(Cutting):
    def split(self, text):
        return self.cut(text)
