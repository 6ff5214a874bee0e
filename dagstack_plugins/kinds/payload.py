"""``Payload``: the base of the classes made from object schemas; read by attribute and by item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Self


class Absent:
    """The default of an optional property that also may be null: tells "left out" from "null"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<left out>"


ABSENT: Final = Absent()
NO_EXTRA: Final[Mapping[str, Any]] = {}
NO_NULLS: Final[frozenset[str]] = frozenset()


class Payload:
    """One JSON object of a kind's schema.

    Subclasses are attrs classes with an attribute for each property that is an identifier. What an attribute cannot
    tell is kept beside them: properties that the schema admits without declaring them, those whose name is no
    identifier, and which of the optional ones were given as null.
    """

    __slots__ = ("_extra", "_nulls")

    _attributes: ClassVar[Mapping[str, str]] = {}
    """Property to attribute, in the schema's order."""
    _optional: ClassVar[frozenset[str]] = frozenset()
    """Properties that may be left out."""
    _filled: ClassVar[frozenset[str]] = frozenset()
    """Those of them that have a default, so that a payload that was checked has them all the same."""
    _nullable: ClassVar[frozenset[str]] = frozenset()
    """Optional properties that may be null as well."""

    _converts: ClassVar[Mapping[str, Any]] = {}
    """What makes plain JSON of a property into the kind's types, where that is something else."""

    _extra: Mapping[str, Any]
    _nulls: frozenset[str]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The payload that ``data`` describes; the opposite of ``to_dict``. Nothing is checked."""
        raise NotImplementedError  # each class brings its own, written for its properties

    def to_dict(self) -> dict[str, Any]:
        """The payload as plain JSON: dicts and lists all the way down."""
        raise NotImplementedError

    def __attrs_post_init__(self) -> None:
        self._extra = NO_EXTRA
        nulls = set()
        for name in self._nullable:
            value = getattr(self, self._attributes[name])
            if value is ABSENT:
                setattr(self, self._attributes[name], None)
            elif value is None:
                nulls.add(name)
        self._nulls = frozenset(nulls) if nulls else NO_NULLS

    def __getitem__(self, name: str) -> Any:
        attribute = self._attributes.get(name)
        if attribute is None:
            return self._extra[name]
        value = getattr(self, attribute)
        if value is None and name in self._optional and name not in self._nulls:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        try:
            self[name]  # type: ignore[index]
        except (KeyError, TypeError):
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        for name in self._attributes:
            if name in self:
                yield name
        yield from self._extra

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Payload):
            return self.to_dict() == other.to_dict()
        if isinstance(other, Mapping):
            return bool(self.to_dict() == plain(other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> Self:
        return self.from_dict({name: self[name] for name in self})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.from_dict(self.to_dict())

    def __repr__(self) -> str:
        told = ", ".join(f"{self._attributes.get(name, repr(name))}={self[name]!r}" for name in self)
        return f"{type(self).__name__}({told})"


def plain(value: Any) -> Any:
    """``value`` with each payload in it, at any depth of dicts and lists, as a dict."""
    if isinstance(value, Payload):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
