"""Which ``KeyboardInterrupt`` is a user's."""

from __future__ import annotations

import threading


def is_interrupt(error: BaseException) -> bool:
    """Whether ``error`` is a user's Ctrl-C, which everything lets pass.

    Python raises that in the main thread only; in any other, a plugin raised it, and it would end the loop there.
    """
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()
