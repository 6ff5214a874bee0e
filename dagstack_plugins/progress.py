"""How plugins tell of their progress, and who hears it: ``ctx.progress`` and the host's sinks."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

from dagstack_plugins.work import current_work

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOGGER = logging.getLogger(__name__)


@attrs.frozen
class ProgressEvent:
    """One thing that a plugin told.

    Attributes:
        kind: the plugin's kind.
        plugin: the plugin's name.
        type: ``"progress"`` for an update, else what the plugin called the event.
        percent: how far the work is, 0 to 100; ``None`` for what is no update.
        message: for people.
        payload: for programs.

    .. versionadded:: 0.1
    """

    kind: str
    plugin: str
    type: str
    percent: float | None = None
    message: str = ""
    payload: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        told = self.type if self.percent is None else f"{self.percent:g} %"
        parts = (told, self.message, "" if self.payload is None else repr(self.payload))
        return f"{self.kind}/{self.plugin}: {' '.join(part for part in parts if part)}"


@runtime_checkable
class ProgressSink(Protocol):
    """Hears what plugins tell; called from any thread.

    .. versionadded:: 0.1
    """

    def emit(self, event: ProgressEvent) -> None:
        """Take one event; it should return soon, as the plugin waits for it."""
        ...


class NoProgress:
    """Hears nothing.

    .. versionadded:: 0.1
    """

    def emit(self, event: ProgressEvent) -> None:
        """Drop the event."""


class LogProgress:
    """Writes each event to a log, at level INFO.

    Args:
        logger: where to; by default the logger ``dagstack_plugins.progress``.

    .. versionadded:: 0.1
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or _LOGGER

    def emit(self, event: ProgressEvent) -> None:
        """Log the event."""
        self._logger.info("%s", event)


class ListProgress:
    """Keeps each event, for tests.

    Attributes:
        events: what came so far, oldest first.

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        self.events: list[ProgressEvent] = []

    def emit(self, event: ProgressEvent) -> None:
        """Keep the event."""
        self.events.append(event)  # atomic, so threads need no lock


class Progress:
    """What a plugin sees as ``ctx.progress``.

    A sink that raises never fails the plugin: that is logged, once for each sink.

    Examples:
        >>> heard = ListProgress()
        >>> progress = Progress(heard, "chunker", "text")
        >>> progress.update(40, "page 2 of 5")
        >>> str(heard.events[0])
        'chunker/text: 40 % page 2 of 5'

    Args:
        sink: who hears it.
        kind: the plugin's kind.
        plugin: the plugin's name.

    .. versionadded:: 0.1
    """

    def __init__(self, sink: ProgressSink, kind: str, plugin: str) -> None:
        self._sink = sink
        self._kind = kind
        self._plugin = plugin

    def update(self, percent: float, message: str = "", payload: Mapping[str, Any] | None = None) -> None:
        """Tell how far the work is.

        Args:
            percent: 0 to 100.
            message: for people.
            payload: for programs; copied, one level deep.

        Raises:
            ValueError: ``percent`` lies outside 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"progress goes from 0 to 100 percent, got {percent!r}")
        self._emit("progress", float(percent), message, payload)

    def event(self, type: str, payload: Mapping[str, Any] | None = None) -> None:  # noqa: A002 - the field's word
        """Tell that something happened.

        Args:
            type: what happened, as in ``"page_done"``.
            payload: for programs; copied, one level deep.

        Raises:
            ValueError: ``type`` is empty.
        """
        if not type:
            raise ValueError("an event needs a type, as in event('page_done'), got an empty string")
        self._emit(type, None, "", payload)

    def _emit(self, type_: str, percent: float | None, message: str, payload: Mapping[str, Any] | None) -> None:
        copied = None if payload is None else dict(payload)
        event = ProgressEvent(self._kind, self._plugin, type_, percent, message, copied)
        if (work := current_work()) is not None:
            work.emit(event)
        try:
            self._sink.emit(event)
        except Exception:  # whatever it is, it is the sink's failure, not the plugin's
            if _first_failure(self._sink):
                _LOGGER.exception("the progress sink %r failed; further failures of it are not logged", self._sink)


# By identity, as sinks need not be hashable; weak, so that neither a sink nor its number outlives it.
_failed: weakref.WeakValueDictionary[int, ProgressSink] = weakref.WeakValueDictionary()


def _first_failure(sink: ProgressSink) -> bool:
    if id(sink) in _failed:
        return False
    try:
        _failed[id(sink)] = sink
    except TypeError:  # no weak references to it: better told too often than never
        return True
    return True
