"""One run: bring the index up to date with what is on disk, reading only what changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs

from walk import Found, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dagstack_plugins import PluginRegistry
    from entries import Reader

BATCH = 100  # files; a run that is killed loses no more than these


@attrs.define
class Run:
    """What a run did.

    Attributes:
        indexed: files that were read, as they are new or changed.
        unchanged: files whose entries were still right.
        removed: entries dropped, as their files are gone or cannot be read any more.
        problems: what is wrong with which file, whether changed or not.
        seconds: how long it took.
        interrupted: whether it was stopped before its end.
    """

    indexed: int = 0
    unchanged: int = 0
    removed: int = 0
    problems: list[Problem] = attrs.field(factory=list)
    seconds: float = 0.0
    interrupted: bool = False


class Update:
    """Brings the index up to date.

    Args:
        registry: the plugins, started.
        reader: makes the entries.
    """

    def __init__(self, registry: PluginRegistry, reader: Reader) -> None:
        self._store = registry.get_plugin("index_store")
        self._listeners = registry.kind("index_listener")
        self._reader = reader
        self._entries: list[dict[str, Any]] = []
        self._gone: list[str] = []
        self._run = Run()

    def __call__(
        self, root: str, seen: Iterable[Found | Problem], *, advance: Callable[[], object], stopped: Callable[[], bool]
    ) -> Run:
        """Go through all files.

        Args:
            root: the folder that was walked, for listeners.
            seen: what is on disk.
            advance: called after each file.
            stopped: asked before each file; at the first yes the run ends, and what is done is kept.

        Returns:
            What was done.
        """
        start = time.monotonic()
        known = {file.path: file for file in self._store.files().files}
        found = self._sort_out(seen)
        self._listeners.started(root=root, files=len(found))
        self._drop(known.keys() - found.keys())
        for path, file in found.items():
            if stopped():
                self._run.interrupted = True
                break
            self._look_at(file, known.get(path))
            advance()
        self._save()
        self._run.seconds = time.monotonic() - start
        self._tell_the_end()
        return self._run

    def _sort_out(self, seen: Iterable[Found | Problem]) -> dict[str, Found]:
        found = {}
        for item in seen:
            if isinstance(item, Problem):
                self._report(item)
            else:
                found[item.path] = item
        return found

    def _look_at(self, file: Found, known: Any) -> None:
        if known is not None and (known.stamp, known.made_by) == (file.stamp, self._reader.made_by(file.path)):
            self._run.unchanged += 1
            if known.problem:
                self._report(Problem(file.path, known.problem.message, known.problem.line))
            return
        entry = self._reader.entry(file)
        if isinstance(entry, Problem):  # it leaves no entry, so that the next run tries again
            self._report(entry)
            self._drop({file.path} if known else ())
            return
        self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        file = entry["file"]
        self._run.indexed += 1
        self._listeners.file_indexed(path=file["path"], language=file["language"], symbols=len(entry["symbols"]))
        if "problem" in file:
            self._report(Problem(file["path"], **file["problem"]))
        self._entries.append(entry)
        if len(self._entries) >= BATCH:
            self._save()

    def _drop(self, paths: Iterable[str]) -> None:
        gone = sorted(paths)
        self._gone += gone
        self._run.removed += len(gone)

    def _save(self) -> None:
        if self._entries or self._gone:
            self._store.save(entries=self._entries, gone=self._gone)
            self._entries, self._gone = [], []

    def _report(self, problem: Problem) -> None:
        self._run.problems.append(problem)
        self._listeners.file_broken(**attrs.asdict(problem, filter=lambda _, value: value is not None))

    def _tell_the_end(self) -> None:
        run = self._run
        self._listeners.finished(
            indexed=run.indexed,
            unchanged=run.unchanged,
            removed=run.removed,
            broken=len(run.problems),
            seconds=run.seconds,
            interrupted=run.interrupted,
        )
