from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagstack_plugins import PluginContext


class RunLog:
    def setup(self, ctx: PluginContext) -> None:
        self._path = Path(ctx.config["folder"]) / "run.log"
        self._clock = ctx.resources.clock

    def started(self, root: str, files: int) -> None:
        self._write(f"run of {root}: {files} files")

    def file_broken(self, event: Any) -> None:
        place = event.path if event.line is None else f"{event.path}:{event.line}"
        self._write(f"broken: {place}: {event.message}")

    def finished(self, event: Any) -> None:
        word = "interrupted" if event.interrupted else "done"
        self._write(
            f"{word} after {event.seconds:.1f} s: {event.indexed} indexed, {event.unchanged} unchanged, "
            f"{event.removed} removed, {event.broken} broken"
        )

    def _write(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as log:
            log.write(f"{self._clock.now():%Y-%m-%d %H:%M:%S} {line}\n")
