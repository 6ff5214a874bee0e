"""A node that runs."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from typing import Any

import attrs


# Made for every node: attrs' frozen classes would take several times as long.
@attrs.define(eq=False)
class Attempt:
    """A node that runs.

    Attributes:
        node: its number.
        number: which attempt it is, from 1.
        started_at: when the first one began.
        begun: the same, on the clock that durations are taken from.
        over: whether somebody settled it: it ended, or was given up.
        seconds: how long it took, once its coroutine has ended.
        task: the coroutine's task, if it is one.
        thread: the worker that it runs in, where that may be given up.
    """

    node: int
    number: int
    started_at: datetime
    begun: float
    over: bool = False
    seconds: float = 0.0
    task: asyncio.Task[Any] | None = None
    thread: threading.Thread | None = None
