"""YAML as plain data that remembers its lines; aliases and duplicate keys are faults, not surprises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import yaml

from dagstack_plugins.errors import Fault
from dagstack_plugins.schemafaults import dotted

_Path = tuple[str | int, ...]

# libyaml's parser is ten times faster, where PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@attrs.frozen
class YamlDocument:
    """One YAML document.

    Attributes:
        data: its content: dicts, lists and scalars.
        lines: path to the 1-based line where that value starts.
        faults: what YAML itself, or a rule of ours on top of it, forbids.
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
        aliases = [
            Fault(f"*{event.anchor}", "aliases are not allowed: write the value out", event.start_mark.line + 1)
            for event in yaml.parse(text, Loader=_Loader)
            if isinstance(event, yaml.AliasEvent)
        ]
        if aliases:
            return YamlDocument(None, {}, aliases)
        loader = _Loader(text)
        try:
            return _document(loader, loader.get_single_node())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        return YamlDocument(None, {}, [Fault("", f"not YAML: {error.problem}", mark.line + 1 if mark else None)])
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return YamlDocument(None, {}, [Fault("", f"not YAML: {' '.join(str(error).split())}")])


def _document(loader: Any, root: yaml.Node | None) -> YamlDocument:
    if root is None:
        return YamlDocument(None, {}, [])
    lines: dict[_Path, int] = {}
    faults: list[Fault] = []
    data = _value(loader, root, (), lines, faults)
    return YamlDocument(data, lines, faults)


def _value(loader: Any, node: yaml.Node, path: _Path, lines: dict[_Path, int], faults: list[Fault]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, index), lines, faults) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    data: dict[Any, Any] = {}
    for key, value, line in _entries(loader, node):
        where = (*path, str(key))
        if key in data:
            faults.append(Fault(dotted(where, ""), f"the key stands twice, first in line {lines[where]}", line))
            continue
        data[key] = _value(loader, value, where, lines, faults)
        # A value's own line may be the next one; a reader looks for its key.
        lines[where] = line
    return data


def _entries(loader: Any, node: yaml.MappingNode) -> Iterator[tuple[Any, yaml.Node, int]]:
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            mark = key.start_mark
            raise yaml.MarkedYAMLError(problem="a key is a plain word here", problem_mark=mark)
        yield loader.construct_object(key), value, key.start_mark.line + 1
