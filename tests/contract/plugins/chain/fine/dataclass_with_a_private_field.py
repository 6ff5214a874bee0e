"""Answers with a dataclass whose further attributes are no fields, so that they don't travel.

kind = "cleaner"
"""

from dataclasses import InitVar, dataclass
from typing import ClassVar


@dataclass
class Cleaned:
    text: str
    remark: InitVar[str] = ""
    limit: ClassVar[int] = 100

    def __post_init__(self, remark):
        self.kept = remark
        self.text = (self.text + remark)[: self.limit]

    @property
    def language(self):
        return "unknown"


class DataclassWithAPrivateField:
    def clean(self, text):
        return Cleaned(text.rstrip(), remark="" if text.endswith("…") else "…")
