from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagstack_plugins import PluginContext

DEAD_LINES_ALLOWED = 100  # beyond as many as there are live ones


class JsonlStore:
    """A line per change, the last one of a path counts.

    A line is appended in one piece, so whoever kills the program cuts at most the last one short; it is then left out.
    Lines that no longer count are swept out now and then, into a new file that takes the old one's place at once.
    """

    def setup(self, ctx: PluginContext) -> None:
        self._path = Path(ctx.config["folder"]) / "index.jsonl"
        self._lock = threading.Lock()
        self._loaded: dict[str, dict[str, Any]] | None = None
        self._good_bytes = 0  # how much of the file is whole lines
        self._lines = 0

    def files(self) -> dict[str, Any]:
        with self._lock:
            entries = self._entries()
            return {"files": [entries[path]["file"] for path in sorted(entries)]}

    def save(self, entries: list[Any], gone: list[str]) -> None:
        with self._lock:
            live = self._entries()
            kept = [entry.to_dict() for entry in entries]
            self._append([{"gone": path} for path in gone] + kept)
            for path in gone:
                live.pop(path, None)
            for entry in kept:
                live[entry["file"]["path"]] = entry
            if self._lines > 2 * len(live) + DEAD_LINES_ALLOWED:
                self._sweep(live)

    def search(self, word: str) -> dict[str, Any]:
        wanted = word.casefold()
        with self._lock:
            matches = [
                {"path": path, **symbol}
                for path, entry in self._entries().items()
                for symbol in entry["symbols"]
                if wanted in symbol["name"].casefold()
            ]
        return {"matches": sorted(matches, key=lambda match: (match["path"], match["line"], match["name"]))}

    def _entries(self) -> dict[str, dict[str, Any]]:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> dict[str, dict[str, Any]]:
        entries: dict[str, dict[str, Any]] = {}
        if not self._path.exists():
            return entries
        with self._path.open("rb") as file:
            for line in file:
                change = _whole(line)
                if change is None:
                    break  # what is left out here is indexed again, in place of the damage
                self._good_bytes += len(line)
                self._lines += 1
                if "gone" in change:
                    entries.pop(change["gone"], None)
                else:
                    entries[change["file"]["path"]] = change
        return entries

    def _append(self, changes: list[dict[str, Any]]) -> None:
        if not changes:
            return
        data = _lines(changes)
        with self._path.open("ab") as file:
            file.truncate(self._good_bytes)
            file.write(data)
        self._good_bytes += len(data)
        self._lines += len(changes)

    def _sweep(self, live: dict[str, dict[str, Any]]) -> None:
        data = _lines(list(live.values()))
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._good_bytes = len(data)
        self._lines = len(live)


def _whole(line: bytes) -> dict[str, Any] | None:
    try:
        return dict(json.loads(line)) if line.endswith(b"\n") else None
    except ValueError:
        return None


def _lines(changes: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(change, separators=(",", ":")).encode() + b"\n" for change in changes)
