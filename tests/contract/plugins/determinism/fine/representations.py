"""Shows objects by repr; each of them has a repr of its fields, and none an address.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from dataclasses import dataclass
from enum import Enum


class Case(Enum):
    LOWER = "lower"
    OTHER = "other"


@dataclass(frozen=True)
class Found:
    text: str
    case: Case


class Shows:
    def transform(self, text):
        found = Found(text, Case.LOWER if text.islower() else Case.OTHER)
        made = f"{found} {type(self).__name__} {[found.case]}"
        return {"text": made, "length": len(made)}
