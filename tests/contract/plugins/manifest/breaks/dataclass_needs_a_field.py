"""Is a dataclass with a field that has no default, so that it can't be made without arguments."""

from dataclasses import dataclass, field


@dataclass
class DataclassNeedsAField:
    separator: str
    seen: list = field(default_factory=list)

    def execute(self, args):
        return {"names": self.separator.join(sorted(args))}
