"""``${node.field[0]}``: results of other nodes in a payload."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from dagstack_plugins.dag.errors import ResultUnfit
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.wording import nearest, shown

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_MARK: Final = re.compile(r"(\$\$\{)|\$\{([^{}$]*)(\}?)")
_WHOLE: Final = re.compile(rf"({NAME.pattern})((?:\.{NAME.pattern}|\[[0-9]+\])*)")
_STEP: Final = re.compile(rf"\.({NAME.pattern})|\[([0-9]+)\]")

_Path = tuple[str | int, ...]


@attrs.frozen
class Reference:
    """What stands between the braces.

    Attributes:
        node: the node whose result is meant.
        path: the way to a part of it: fields and places.
    """

    node: str
    path: _Path

    @classmethod
    def of(cls, text: str) -> Reference:
        """A reference as it is written.

        Raises:
            ValueError: if it is none.
        """
        found = _WHOLE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"${{{text}}} is no reference: write ${{node}}, ${{node.field}} or ${{node.list[0]}}")
        steps = _STEP.finditer(found[2])
        return cls(found[1], tuple(step[1] if step[1] is not None else int(step[2]) for step in steps))

    def __str__(self) -> str:
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return f"${{{self.node}{''.join(steps)}}}"

    def value(self, results: Mapping[str, Any]) -> Any:
        """What it stands for, as JSON.

        Raises:
            ResultUnfit: if the result has no such part.
        """
        found = results[self.node]
        for place, step in enumerate(self.path):
            try:
                found = found[step]
            except (LookupError, TypeError, AttributeError):
                whole = Reference(self.node, self.path[:place])
                raise ResultUnfit(f"{self}: {whole} has no {step!r}{_hint(step, found)}") from None
        try:
            return to_json(found)
        except NotJson as error:
            raise ResultUnfit(f"{self} has no form in JSON: {error}") from None


def _hint(step: str | int, found: Any) -> str:
    if isinstance(found, list):
        return f"; it is a list of {len(found)}"
    if isinstance(found, Mapping):
        return nearest(str(step), [str(key) for key in found]) or f"; it has: {', '.join(map(str, found)) or 'nothing'}"
    return f"; it is {shown(found)}"


def references(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, Reference | ValueError]]:
    """All references in a payload, each with its place; or what is wrong with it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from references(item, (*path, key))
            if any(not mark[1] for mark in _MARK.finditer(key)):
                yield (*path, key), ValueError("a reference stands in a value, not in a key")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from references(item, (*path, place))
    elif isinstance(value, str):
        yield from ((path, reference) for reference in _in_text(value))


def _in_text(text: str) -> Iterator[Reference | ValueError]:
    for mark in _MARK.finditer(text):
        if mark[1]:  # $${, the letters themselves
            continue
        try:
            if not mark[3]:
                raise ValueError(f"{shown(mark[0])} has no end: write }}; or $${{ for the letters themselves")
            yield Reference.of(mark[2])
        except ValueError as error:
            yield error


def filled(value: Any, results: Mapping[str, Any]) -> Any:
    """A payload with results in place of references.

    Raises:
        ResultUnfit: if a result has not the part that is meant, or is a list or an object in the middle of a text.
    """
    if isinstance(value, Mapping):
        return {_MARK.sub(_literal, key): filled(item, results) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, results) for item in value]
    if not isinstance(value, str):
        return value
    alone = _MARK.fullmatch(value)
    if alone is not None and not alone[1]:
        return Reference.of(alone[2]).value(results)
    return _MARK.sub(lambda mark: _text(mark, results), value)


def _text(mark: re.Match[str], results: Mapping[str, Any]) -> str:
    if mark[1]:
        return _literal(mark)
    reference = Reference.of(mark[2])
    value = reference.value(results)
    if isinstance(value, list | dict):
        what = "a list" if isinstance(value, list) else "an object"
        raise ResultUnfit(f"{reference} is {what}, which cannot stand in the middle of a text")
    return value if isinstance(value, str) else json.dumps(value)


def _literal(mark: re.Match[str]) -> str:
    return mark[0].removeprefix("$") if mark[1] else mark[0]
