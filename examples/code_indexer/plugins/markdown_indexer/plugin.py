from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*")
UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
NOT_A_PARAGRAPH = re.compile(r"\s*$| {4}|\t| {0,3}(?:>|[-+*][ \t]|\d{1,9}[.)][ \t])")


class MarkdownIndexer:
    def index(self, text: str) -> dict[str, Any]:
        symbols = []
        above = ""  # the line before, if an underline would make it a heading
        for number, line in _prose(text):
            underline = UNDERLINE.fullmatch(line)
            if above and underline:
                symbols.append(_heading(number - 1, above.strip(), 1 if underline[1][0] == "=" else 2))
                above = ""
            elif heading := HEADING.fullmatch(line):
                symbols.append(_heading(number, heading[2] or "", len(heading[1])))
                above = ""
            else:
                above = "" if NOT_A_PARAGRAPH.match(line) else line
        return {"language": "markdown", "symbols": symbols}


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines outside fenced code and front matter; of those that are inside, an empty one is left."""
    lines = text.split("\n")
    start = _after_front_matter(lines)
    fence = ""
    for number, line in enumerate(lines[start:], start + 1):
        mark = FENCE.fullmatch(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
            yield number, ""
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
            yield number, ""
        else:
            yield number, line


def _after_front_matter(lines: list[str]) -> int:
    if lines[0].rstrip() != "---":
        return 0
    ends = (number for number, line in enumerate(lines[1:], 2) if line.rstrip() in ("---", "..."))
    return next(ends, 0)


def _heading(line: int, name: str, level: int) -> dict[str, Any]:
    return {"line": line, "kind": "heading", "name": name, "detail": f"level {level}"}
