"""``BufferedProgress``: a sink may be as slow as it likes, and no plugin waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Self

from dagstack_plugins.progress import ProgressEvent, ProgressSink

_log: Final = logging.getLogger("dagstack_plugins.progress")


class BufferedProgress:
    """Hands events on from a thread of its own; where that is too slow, the oldest are dropped, counted, and told of.

    Examples:
        >>> told = []
        >>> with BufferedProgress(lambda event: told.append(event.percent)) as sink:
        ...     sink.emit(ProgressEvent("tool", "importer", "progress", 50.0))
        >>> told
        [50.0]

    Args:
        sink: who gets them: another sink, or a function of one event.
        size: how many may wait.

    Attributes:
        dropped: how many were dropped so far.

    .. versionadded:: 0.1
    """

    def __init__(self, sink: ProgressSink | Callable[[ProgressEvent], object], size: int = 1000) -> None:
        if size < 1:
            raise ValueError(f"a buffer has room for 1 event or more, got size={size!r}")
        self._hand_over = sink.emit if isinstance(sink, ProgressSink) else sink
        self._told = sink
        self._size = size
        self._waiting: deque[ProgressEvent] = deque()
        self._lock = threading.Condition()
        self._closed = self._busy = False
        self._failed = False
        self._thread: threading.Thread | None = None
        self.dropped = 0
        self._said = 0

    def emit(self, event: ProgressEvent) -> None:
        """Take one event; what comes after the end is dropped."""
        with self._lock:
            if self._closed:
                self.dropped += 1
                return
            if len(self._waiting) >= self._size:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(event)
            if self._thread is None or not self._thread.is_alive():  # after a fork, too
                self._thread = threading.Thread(target=self._run, name="dagstack-plugins-progress", daemon=True)
                self._thread.start()
            self._lock.notify()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all was handed on; whether it was.

        Args:
            timeout: seconds to wait; for ever by default.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            while self._waiting or self._busy:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._lock.wait(left)
        return True

    def close(self, timeout: float = 5.0) -> None:
        """Hand on what waits, and end.

        Args:
            timeout: seconds that may take; what is left then is dropped.
        """
        self.flush(timeout)
        with self._lock:
            self._closed = True
            self.dropped += len(self._waiting)
            self._waiting.clear()
            self._lock.notify_all()
        self._tell_drops()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._waiting:
                    if self._closed:
                        return
                    self._lock.wait()
                event = self._waiting.popleft()
                self._busy = True
            try:
                self._hand_over(event)
            except Exception:  # of the sink, not of the plugin
                if not self._failed:
                    self._failed = True
                    _log.exception("the progress sink %r failed; further failures of it are not logged", self._told)
            finally:
                with self._lock:
                    self._busy = False
                    is_idle = not self._waiting
                    self._lock.notify_all()
            if is_idle:
                self._tell_drops()

    def _tell_drops(self) -> None:
        if (dropped := self.dropped) > self._said:
            _log.warning(
                "%d progress events were dropped, as %r is too slow for them", dropped - self._said, self._told
            )
            self._said = dropped
