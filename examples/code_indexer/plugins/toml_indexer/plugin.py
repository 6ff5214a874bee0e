from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
LINE_IN_MESSAGE = re.compile(r"\(at line (\d+), column \d+\)")


class TomlIndexer:
    def index(self, text: str) -> dict[str, Any]:
        try:
            document = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            return {"language": "toml", "symbols": [], "problem": _problem(str(error))}
        symbols = []
        in_table = False
        for number, line in _statements(text):
            if header := _header(line, document):
                in_table = True
                symbols.append({"line": number, "kind": "table", "name": ".".join(header)})
            elif not in_table and (key := KEY.match(line)):
                symbols.append({"line": number, "kind": "key", "name": key[1]})
        return {"language": "toml", "symbols": symbols}


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The lines that do not lie in a string of several lines."""
    inside = ""
    for number, line in enumerate(text.split("\n"), 1):
        if not inside:
            yield number, line
        for quotes in re.findall('"""|' + "'''", line):
            inside = quotes if not inside else "" if quotes == inside else inside


def _header(line: str, document: dict[str, Any]) -> list[str]:
    """The names in ``[a.b]`` or ``[[a.b]]``; none for any other line."""
    if not line.lstrip().startswith("["):
        return []
    try:
        nested: Any = tomllib.loads(line)
    except ValueError:
        return []  # a line of an array
    names: list[str] = []
    while nested:
        [(name, nested)] = nested.items()
        names.append(name)
        nested = nested[0] if isinstance(nested, list) else nested
    return names if _is_table(names, document) else []


def _is_table(names: list[str], document: dict[str, Any]) -> bool:
    """Tell a header from a line of an array that looks like one (``["a"]``)."""
    level: list[Any] = [document]
    for name in names:
        inner = [table[name] for table in level if isinstance(table, dict) and name in table]
        level = [item for value in inner for item in (value if isinstance(value, list) else [value])]
    return any(isinstance(item, dict) for item in level)


def _problem(message: str) -> dict[str, Any]:
    line = LINE_IN_MESSAGE.search(message)
    told = LINE_IN_MESSAGE.sub("", message).strip()
    return {"message": told, "line": int(line[1])} if line else {"message": told}
