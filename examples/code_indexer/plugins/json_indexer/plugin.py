from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(?=(\s*:)?)|[][{}]')


class JsonIndexer:
    def index(self, text: str) -> dict[str, Any]:
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            return _broken({"message": error.msg, "line": error.lineno})
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
            return _broken({"message": str(error)})
        if not isinstance(document, dict):
            return {"language": "json", "symbols": []}
        symbols = [
            {"line": line, "kind": "key", "name": _printable(key), "detail": _shape(document[key])}
            for line, key in _top_keys(text)
        ]
        return {"language": "json", "symbols": symbols}


def _top_keys(text: str) -> Iterator[tuple[int, str]]:
    """The keys of the outermost object with their lines; the text is known to be JSON."""
    depth, line, seen = 0, 1, 0
    for token in TOKEN.finditer(text):
        if token[0] in "{[":
            depth += 1
        elif token[0] in "}]":
            depth -= 1
        elif depth == 1 and token[1]:
            line += text.count("\n", seen, token.start())
            seen = token.start()
            yield line, json.loads(token[0])


def _shape(value: Any) -> str:
    if not isinstance(value, dict | list):
        names = {str: "string", bool: "true or false", type(None): "null"}
        return names.get(type(value), "number")
    size = f"object, {_count(value, 'key')}" if isinstance(value, dict) else f"array, {_count(value, 'item')}"
    depth = _depth(value)
    return size if depth == 1 else f"{size}, {depth} deep"


def _count(value: dict[str, Any] | list[Any], noun: str) -> str:
    return f"{len(value)} {noun}" if len(value) == 1 else f"{len(value)} {noun}s"


def _depth(value: Any) -> int:
    """How many objects and arrays lie in each other; level by level, as a document may nest deeper than calls can."""
    depth = 0
    level = [value]
    while level:
        depth += 1
        children = (child for item in level for child in (item.values() if isinstance(item, dict) else item))
        level = [child for child in children if isinstance(child, dict | list)]
    return depth


def _printable(key: str) -> str:
    return key.encode(errors="replace").decode()  # "\ud800" is JSON, yet no text


def _broken(problem: dict[str, Any]) -> dict[str, Any]:
    return {"language": "json", "symbols": [], "problem": problem}
