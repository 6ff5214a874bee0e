"""What a plugin in another process tells or asks its host while it works: progress, checkpoints, lines for the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Final

from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.runtimes.channel import LIMIT
from dagstack_plugins.wording import shown

_log: Final = logging.getLogger("dagstack_plugins")


class Hearing:
    """Takes it; nothing that comes is trusted.

    Args:
        context: the plugin's, on this side.
        label: the plugin, for people.
    """

    def __init__(self, context: PluginContext, label: str) -> None:
        self._context = context
        self._label = label

    def __call__(self, told: str, what: Any) -> bytes:
        """Take one thing that was told, or answer a question.

        Args:
            told: ``"progress"``, ``"log"``, ``"checkpoint"`` or ``"cancelled"``.
            what: the arguments.
        """
        known: dict[str, Callable[..., Any]] = {
            "progress": self._progress,
            "log": self._line,
            "checkpoint": self._checkpoint,
            "cancelled": lambda: self._context.cancelled,
        }
        hear = known.get(told)
        try:
            if hear is None:
                raise ValueError("a worker process tells no such thing")
            answer = json.dumps({"value": hear(*what)}).encode()
            if len(answer) > LIMIT:
                raise ValueError(f"it takes {len(answer)} bytes as JSON, and at most {LIMIT} go to a worker process")
        except Exception as error:
            if told != "checkpoint":
                _log.warning("worker process of %s: %s %s: %r", self._label, told, shown(what), error)
            return json.dumps({"error": type(error).__name__, "message": str(error), "known": _known(error)}).encode()
        return answer

    def _progress(self, type_: str, percent: float | None, message: str, payload: Any) -> None:
        if percent is None:
            self._context.progress.event(type_, payload)
        else:
            self._context.progress.update(percent, message, payload)

    def _line(self, name: str, level: int, message: str, error: str | None) -> None:
        own = self._context.logger
        if own.isEnabledFor(level):
            # What its libraries log is told under the plugin's name as well; no logger is made of what came from there.
            mine = name == own.name or name.startswith(f"{own.name}.")
            record = own.makeRecord(
                name if mine else f"{own.name}.{name}", level, self._label, 0, "%s", (message,), None
            )
            record.exc_text = error
            own.handle(record)

    def _checkpoint(self, operation: str, *args: Any) -> Any:
        # The scope is the plugin's, whatever it says over there.
        if operation not in {"save", "load", "list"}:
            raise ValueError(f"checkpoints are no {operation!r}")
        if operation == "save" and len(args) == 3:
            return self._context.checkpoint.save(args[0], args[1], expected=args[2])
        return getattr(self._context.checkpoint, operation)(*args)


def _known(error: Exception) -> dict[str, Any]:
    """What an error of ours knows beside its message, as far as it is told by name."""
    if not isinstance(error, PluginRegistryError):
        return {}
    return {name: value for name, value in vars(error).items() if isinstance(value, str | int | float)}
