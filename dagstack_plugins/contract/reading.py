"""What is read in a plugin's code without running it: writes to module-level state, on ways that inputs may miss."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

_CHANGES: Final = frozenset(
    [
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "extendleft",
        "insert",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "setdefault",
        "update",
    ]
)
_MUTABLE: Final = frozenset(["Counter", "OrderedDict", "defaultdict", "deque", "dict", "list", "set", "bytearray"])

Write = tuple[str, int]
"""The name that is written to, and the line."""


def runtime_writes(file: Path, entries: Collection[str], only: Collection[str] | None = None) -> list[Write]:
    """Writes to module-level names in code that hooks reach.

    Args:
        file: a Python file.
        entries: the methods that hosts call.
        only: the names of the classes whose methods those are; by default of any.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    module = _Module(tree, only)
    return sorted({write for function in module.reached(entries) for write in module.writes(function)})


Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Module:
    def __init__(self, tree: ast.Module, only: Collection[str] | None) -> None:
        self._mutable = set(_mutable_names(tree))
        self._functions = {node.name: node for node in tree.body if isinstance(node, Function)}
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        self._classes = [node for node in classes if only is None or node.name in only]

    def reached(self, entries: Collection[str]) -> list[Function]:
        """The functions that the entries lead to, by name."""
        methods: dict[str, list[Function]] = {}
        for cls in self._classes:
            for node in cls.body:
                if isinstance(node, Function):
                    methods.setdefault(node.name, []).append(node)
        waiting = [method for entry in entries for method in methods.get(entry, [])]
        found: list[Function] = []
        while waiting:
            function = waiting.pop()
            if function in found:
                continue
            found.append(function)
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Name) and call.func.id in self._functions:
                    waiting.append(self._functions[call.func.id])
                elif isinstance(call.func, ast.Attribute) and _is_self(call.func.value):
                    waiting += methods.get(call.func.attr, [])
        return found

    def writes(self, function: Function) -> Iterator[Write]:
        """What a function does to names of its module."""
        local = _local_names(function)
        shared = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
        for node in ast.walk(function):
            for target in _targets(node):
                if isinstance(target, ast.Name) and target.id in shared and not _imports(node):
                    yield target.id, node.lineno  # type: ignore[attr-defined]
                elif (name := _base(target)) in self._mutable - local and not isinstance(target, ast.Name):
                    yield str(name), target.lineno
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
                holder = node.func.value
                if isinstance(holder, ast.Name) and holder.id in self._mutable - local:
                    yield holder.id, node.lineno


def _mutable_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and _is_mutable(value):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    yield target.id


def _is_mutable(value: ast.AST | None) -> bool:
    if isinstance(value, ast.Call):
        called = value.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        return name in _MUTABLE
    return isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)


def _local_names(function: Function) -> set[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = {one.arg for one in (*every, *filter(None, (arguments.vararg, arguments.kwarg)))}
    shared = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    stored = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return (names | stored) - shared


def _targets(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Assign() | ast.Delete():
            return list(node.targets)
        case ast.AugAssign() | ast.AnnAssign():
            return [node.target] if getattr(node, "value", None) is not None else []
    return []


def _imports(node: ast.AST) -> bool:
    """Whether what is assigned is imported there: a lazy import changes nothing that anybody could tell."""
    value = getattr(node, "value", None)
    return any(
        isinstance(inner, ast.Call) and "import_module" in ast.dump(inner.func)
        for inner in (ast.walk(value) if value is not None else ())
    )


def _base(target: ast.expr) -> str | None:
    """The name at the bottom of ``name[…]`` and ``name[…][…]``."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def locale_uses(file: Path) -> list[tuple[str, int]]:
    """Formats that depend on the locale, which is the same on most machines that tests run on.

    Args:
        file: a Python file.

    Returns:
        What is used, and the line.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        spec = ""
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            parts = getattr(node.format_spec, "values", [])
            spec = "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
            line = node.lineno
        elif isinstance(node, ast.Call) and _formats(node.func) and node.args:
            spec = next((str(one.value) for one in node.args[::-1] if isinstance(one, ast.Constant)), "")
            line = node.lineno
        if (spec.endswith("n") and "%" not in spec) or any(f"%{letter}" in spec for letter in _OF_LOCALES):
            found.append((f"the format {spec!r}", line))
    return found


_OF_LOCALES: Final = "aAbBcpxX"
"""What ``strftime`` takes from the locale."""


def _formats(called: ast.expr) -> bool:
    name = called.id if isinstance(called, ast.Name) else ""
    return name in ("format", "strftime") or (isinstance(called, ast.Attribute) and called.attr == "strftime")
