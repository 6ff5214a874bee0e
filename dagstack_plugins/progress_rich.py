"""``RichProgress``: bars on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from dagstack_plugins.progress import ProgressEvent
from dagstack_plugins.progress_buffer import BufferedProgress
from dagstack_plugins.wording import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID


class RichProgress:
    """A bar for each plugin that tells of its progress, on standard error; needs the extra ``cli``.

    Where standard error is no terminal, nothing is drawn.

    Args:
        console: where bars are drawn.

    Raises:
        ModuleNotFoundError: if rich is not installed; its note says what to install.

    .. versionadded:: 0.1
    """

    def __init__(self, console: Console | None = None) -> None:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        except ModuleNotFoundError as error:
            error.add_note("RichProgress needs rich: pip install 'dagstack-plugins[cli]'")
            raise
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}"),
            console=console or Console(stderr=True),
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._buffer = BufferedProgress(self._draw)  # a terminal that is stopped keeps whoever writes to it

    def emit(self, event: ProgressEvent) -> None:
        """Take one event."""
        self._buffer.emit(event)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Draw what has come, and leave it there."""
        self._buffer.close()
        self._bars.stop()

    def _draw(self, event: ProgressEvent) -> None:
        if event.percent is None:
            return
        from rich.markup import escape

        whose, said = (event.kind, event.plugin), escape(one_line(event.message))
        if whose not in self._tasks:
            self._tasks[whose] = self._bars.add_task(escape("/".join(whose)), total=100, said="")
        self._bars.update(self._tasks[whose], completed=event.percent, said=said)
