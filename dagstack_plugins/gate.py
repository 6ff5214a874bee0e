"""A gate that admits so many calls at once, of threads and event loops; the others wait, first come, first served."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future


class Gate:
    """Admits a number of calls at once.

    Args:
        places: that number.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Take a place, and block until there is one."""
        place = self._ask()
        if place is None:
            return
        try:
            place.result()
        except BaseException:  # the user interrupts
            self._give_back(place)
            raise

    async def enter_async(self) -> None:
        """Take a place, and wait until there is one."""
        place = self._ask()
        if place is None:
            return
        try:
            await asyncio.wrap_future(place)
        except BaseException:
            self._give_back(place)
            raise

    def leave(self) -> None:
        """Give the place to who waits longest."""
        with self._lock:
            while self._waiting:
                place = self._waiting.popleft()
                if place.set_running_or_notify_cancel():
                    place.set_result(None)
                    return
            self._free += 1

    def _ask(self) -> Future[None] | None:
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            place: Future[None] = Future()
            self._waiting.append(place)
            return place

    def _give_back(self, place: Future[None]) -> None:
        """Who waited for it is gone; it may have come at the same moment."""
        if not place.cancel():
            self.leave()
