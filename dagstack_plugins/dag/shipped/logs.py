"""``LoggingPlugin``: writes what happens into a log."""

from __future__ import annotations

import logging

from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.hooks import HookRegistry
from dagstack_plugins.dag.plugins import DagPlugin
from dagstack_plugins.wording import printable, raised


class LoggingPlugin(DagPlugin):
    """Logs runs and nodes: beginnings at ``DEBUG`` and ``INFO``, failures at ``ERROR``.

    Examples:
        >>> from dagstack_plugins.dag import PluginManager
        >>> manager = PluginManager()
        >>> manager.register(LoggingPlugin("my.pipelines"))

    Args:
        logger_name: where to.
    """

    name = "logging"

    def __init__(self, logger_name: str = "dagstack_plugins.dag") -> None:
        self._log = logging.getLogger(logger_name)

    def initialize(self, hooks: HookRegistry) -> None:
        """Listen to runs."""
        hooks.register(HookEvent.PRE_EXECUTE, self._begins)
        hooks.register(HookEvent.PRE_NODE, self._node_begins)
        hooks.register(HookEvent.POST_NODE, self._node_succeeded)
        hooks.register(HookEvent.ON_ERROR, self._node_failed)
        hooks.register(HookEvent.POST_EXECUTE, self._ended)

    def _begins(self, ctx: HookContext) -> None:
        self._log.info("run %s begins: %d nodes", ctx.run_id, ctx.dag.node_count() if ctx.dag else 0)

    def _node_begins(self, ctx: HookContext) -> None:
        self._log.debug("node %s begins", _name(ctx))

    def _node_succeeded(self, ctx: HookContext) -> None:
        self._log.info("node %s succeeded in %.3f s", _name(ctx), ctx.node_result.duration_seconds)

    def _node_failed(self, ctx: HookContext) -> None:
        told = raised(ctx.error) if ctx.error is not None else "failed"
        self._log.error("node %s: %s", _name(ctx), told, exc_info=ctx.error)

    def _ended(self, ctx: HookContext) -> None:
        result = ctx.execution_result
        level = logging.INFO if result.ok else logging.ERROR
        self._log.log(level, "run %s %s", ctx.run_id, told(result))


def _name(ctx: HookContext) -> str:
    return printable(str(ctx.node_name))


def told(result: object) -> str:
    """What became of a run, in a line: ``failed in 1.2 s: 3 succeeded, 1 failed, 2 skipped``."""
    words = ("succeeded", "failed", "timed_out", "skipped", "cancelled")
    counts = [f"{count} {word.replace('_', ' ')}" for word in words if (count := getattr(result, word))]
    seconds = getattr(result, "total_duration_seconds", 0.0)
    return f"{getattr(result, 'status', '')} in {seconds:.3g} s: {', '.join(counts) or 'no nodes'}"
