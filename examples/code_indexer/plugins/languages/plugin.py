from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

ROWS = 12
PLURALS = {"class": "classes"}


class Languages:
    def measure(self, files: list[Any]) -> dict[str, Any]:
        by_language = defaultdict(list)
        for file in files:
            by_language[file.language].append(file)
        ranked = sorted(by_language.items(), key=lambda item: (-sum(file.lines for file in item[1]), item[0]))
        rows = [_row(language, members) for language, members in ranked[:ROWS]]
        rest = [file for _, members in ranked[ROWS:] for file in members]
        if rest:
            rows.append(_row(f"{len(ranked) - ROWS} more", rest))
        return {"title": "Languages", "columns": ["Language", "Files", "Lines", "Found"], "rows": rows}


def _row(language: str, files: list[Any]) -> list[str | int]:
    found: Counter[str] = Counter()
    for file in files:
        found.update(file.counts)
    told = ", ".join(f"{count:,} {_plural(noun, count)}" for noun, count in found.most_common())
    return [language, len(files), sum(file.lines for file in files), told]


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else PLURALS.get(noun, f"{noun}s")
