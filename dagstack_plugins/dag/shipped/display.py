"""``ProgressPlugin``: shows a run in the terminal; needs the extra ``cli``."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.hooks import HookRegistry
from dagstack_plugins.dag.plugins import DagPlugin
from dagstack_plugins.dag.shipped.logs import told
from dagstack_plugins.wording import printable

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 3
"""Running nodes that are named; of more, how many there are is enough."""


def _locked(method: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(method)
    def under_lock(self: ProgressPlugin, *args: HookContext) -> None:
        with self._lock:
            method(self, *args)

    return under_lock


class ProgressPlugin(DagPlugin):
    """Draws a bar of the nodes that have ended, with the names of those that run; failures stay above it.

    Examples:
        >>> import io
        >>> from rich.console import Console
        >>> plugin = ProgressPlugin(Console(file=io.StringIO()))

    Args:
        console: where it draws; left out, standard error.

    Raises:
        ImportError: if rich is not installed.
    """

    name = "progress"

    def __init__(self, console: Console | None = None) -> None:
        try:
            from rich.console import Console
        except ImportError as error:
            error.add_note("ProgressPlugin needs rich: pip install 'dagstack-plugins[cli]'")
            raise
        self._console = Console(stderr=True) if console is None else console
        self._bars: dict[str | None, Any] = {}
        self._running: dict[str | None, dict[str, None]] = {}
        self._progress: Any = None
        self._lock = threading.RLock()  # runs may overlap

    def initialize(self, hooks: HookRegistry) -> None:
        """Listen to runs."""
        hooks.register(HookEvent.PRE_EXECUTE, self._begins)
        hooks.register(HookEvent.PRE_NODE, self._node_begins)
        hooks.register(HookEvent.POST_NODE, self._node_ended)
        hooks.register(HookEvent.ON_ERROR, self._node_ended)
        hooks.register(HookEvent.POST_EXECUTE, self._ended)

    @_locked
    def teardown(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._bars.clear()
        self._running.clear()

    @_locked
    def _begins(self, ctx: HookContext) -> None:
        if self._progress is None:
            self._progress = _progress(self._console)
            self._progress.start()
        total = ctx.dag.node_count() if ctx.dag is not None else None
        self._bars[ctx.run_id] = self._progress.add_task("", total=total)
        self._running[ctx.run_id] = {}

    @_locked
    def _node_begins(self, ctx: HookContext) -> None:
        if ctx.run_id in self._bars:
            self._running[ctx.run_id][str(ctx.node_name)] = None
            self._show(ctx.run_id)

    @_locked
    def _node_ended(self, ctx: HookContext) -> None:
        if ctx.run_id not in self._bars:
            return
        self._running[ctx.run_id].pop(str(ctx.node_name), None)
        if ctx.event is HookEvent.ON_ERROR:
            line = f"{ctx.node_name}: {ctx.error}"
            self._progress.console.print(printable(line), style="red", markup=False, highlight=False)
        self._progress.advance(self._bars[ctx.run_id])
        self._show(ctx.run_id)

    @_locked
    def _ended(self, ctx: HookContext) -> None:
        if ctx.run_id not in self._bars:
            return
        self._progress.remove_task(self._bars.pop(ctx.run_id))
        del self._running[ctx.run_id]
        style = "green" if ctx.execution_result.ok else "bold red"
        self._progress.console.print(told(ctx.execution_result), style=style, markup=False, highlight=False)
        if not self._bars:
            self._progress.stop()
            self._progress = None

    def _show(self, run_id: str | None) -> None:
        from rich.markup import escape

        running = list(self._running[run_id])
        more = f" and {len(running) - _SHOWN} more" if len(running) > _SHOWN else ""
        self._progress.update(self._bars[run_id], description=escape(printable(", ".join(running[:_SHOWN]) + more)))


def _progress(console: Console) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=console, transient=True)
