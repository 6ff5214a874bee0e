"""YAML as plain JSON that remembers its lines; aliases, duplicate keys and dates are faults, not surprises."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import attrs
import yaml

from dagstack_plugins.errors import Fault
from dagstack_plugins.wording import dotted, shown

_Path = tuple[str | int, ...]

# libyaml's parser is ten times faster, where PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAGS: Final = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")

_DEEPEST: Final = 100
"""More levels than any hookspec has, fewer than any parser stumbles over."""


@attrs.frozen(eq=False)
class YamlDocument:
    """One YAML document.

    Attributes:
        data: its content as plain JSON; ``None`` if nothing could be read.
        lines: path to the 1-based line where that value starts.
        faults: what YAML itself, or a rule of ours on top of it, forbids. A value that is faulty stands in ``data`` as
            it is written, so that others can be looked at all the same.
    """

    data: Any
    lines: dict[_Path, int]
    faults: list[Fault]

    def line(self, path: _Path) -> int | None:
        """The line of the value at ``path``, or of the nearest value around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read_yaml(text: str) -> YamlDocument:
    """Read one YAML document; what is wrong with it stands in ``faults``."""
    try:
        if faults := list(_forbidden(text)):
            return YamlDocument(None, {}, faults)
        loader = _Loader(text)
        try:
            return _document(loader, loader.get_single_node())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        return YamlDocument(None, {}, [Fault("", f"not YAML: {_problem(text, error, mark)}", mark and mark.line + 1)])
    except yaml.YAMLError as error:
        return YamlDocument(None, {}, [Fault("", f"not YAML: {' '.join(str(error).split())}")])


def _problem(text: str, error: yaml.MarkedYAMLError, mark: Any) -> str:
    if mark is None:
        return str(error.problem)
    if text[mark.index : mark.index + 1] == "\t":
        return f"a tab at column {mark.column + 1}; YAML is indented with spaces"
    return f"{error.problem}, at column {mark.column + 1}"


def _forbidden(text: str) -> Iterator[Fault]:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent):
            yield Fault(f"*{event.anchor}", "aliases are not allowed: write the value out", line)
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                yield Fault("", f"nested more than {_DEEPEST} levels deep", line)
                return
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _document(loader: Any, root: yaml.Node | None) -> YamlDocument:
    if root is None:
        return YamlDocument(None, {}, [])
    lines: dict[_Path, int] = {}
    faults: list[Fault] = []
    data = _value(loader, root, (), lines, faults)
    return YamlDocument(data, lines, faults)


def _value(loader: Any, node: yaml.Node, path: _Path, lines: dict[_Path, int], faults: list[Fault]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.CollectionNode) and node.tag not in _TAGS:
        faults.append(Fault(dotted(path, ""), f"the tag {node.tag!r} means nothing here; leave it out", lines[path]))
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, index), lines, faults) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node, path, faults)
    data: dict[str, Any] = {}
    for key_node, value in node.value:
        key, line = _key(loader, key_node, path, faults), key_node.start_mark.line + 1
        where = (*path, key)
        if key in data:
            faults.append(Fault(dotted(where, ""), f"the key stands twice, first in line {lines[where]}", line))
            continue
        data[key] = _value(loader, value, where, lines, faults)
        # A value's own line may be the next one; a reader looks for its key.
        lines[where] = line
    return data


def _key(loader: Any, node: yaml.Node, path: _Path, faults: list[Fault]) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.MarkedYAMLError(problem="a key is a plain word here", problem_mark=node.start_mark)
    where = (*path, node.value)
    key = _scalar(loader, node, where, faults)
    if isinstance(key, str):
        return key
    message = f"YAML reads the key {node.value} as {shown(key)}; write it in quotes"
    faults.append(Fault(dotted(where, ""), message, node.start_mark.line + 1))
    return str(node.value)


def _scalar(loader: Any, node: yaml.Node, path: _Path, faults: list[Fault]) -> Any:
    try:
        value = loader.construct_object(node)
    except (ValueError, yaml.constructor.ConstructorError) as error:
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else f"{error}; write it in quotes"
        told = f"YAML cannot read {shown(node.value)}: {problem}"
    else:
        if value is None or type(value) in (str, bool, int) or (type(value) is float and math.isfinite(value)):
            return value
        told = f"YAML reads {shown(node.value)} as {shown(value)}; write it in quotes"
    faults.append(Fault(dotted(path, ""), told, node.start_mark.line + 1))
    return node.value
