"""Answers with a dataclass that inherits a field which is no property of the next input.

kind = "cleaner"
"""

from dataclasses import dataclass


@dataclass
class Remarked:
    remark: str = ""


@dataclass
class Cleaned(Remarked):
    text: str = ""


class InheritedRemark:
    def clean(self, text):
        return Cleaned(text=text.strip())
