"""``registry.running(ctx)``: plugins run inside a ``with`` or ``async with`` block, and are torn down after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Generic, TypeVar

from dagstack_plugins.errors import DispatchMismatch, PluginRegistryError
from dagstack_plugins.runtimes.background import BackgroundLoop

T = TypeVar("T")


class Running(Generic[T]):
    """Starts on entry, stops on exit, on the caller's loop (``async with``) or on one of its own (``with``).

    Args:
        value: what the block gets.
        start: starts the plugins, or leaves nothing behind.
        stop: tears them down.
    """

    def __init__(self, value: T, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        self._value = value
        self._start = start
        self._stop = stop
        self._open = False
        self._background: BackgroundLoop | None = None
        self._stack = ExitStack()

    async def __aenter__(self) -> T:
        self._check_closed()
        await self._start()
        self._open = True
        return self._value

    def _check_closed(self) -> None:
        if self._open:
            raise PluginRegistryError("this block is open already; registry.running() makes one for each `with`")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        await self._stop()

    def __enter__(self) -> T:
        self._check_closed()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise DispatchMismatch(
                "`with registry.running(ctx)` inside a running event loop would block it; "
                "write `async with registry.running(ctx)`"
            )
        with ExitStack() as stack:
            background = stack.enter_context(BackgroundLoop())
            try:
                value = background.run(self.__aenter__())
            except BaseException:
                if self._open:  # the user interrupted at the moment when all had started
                    background.run(self.__aexit__(None, None, None))
                raise
            self._background, self._stack = background, stack.pop_all()
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._background is not None
        with self._stack:
            self._background.run(self.__aexit__(kind, error, trace))
