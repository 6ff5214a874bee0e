"""What all dispatchers share: they are called like their hook, and compiled when plugins changed, not when called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from enum import Enum, auto
from typing import Any, ClassVar, Protocol

import attrs

from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.dispatch.table import Table
from dagstack_plugins.dispatch.traffic import Lane, Moved
from dagstack_plugins.errors import DispatchMismatch, HookUnknown, PluginRegistryError
from dagstack_plugins.kinds.model import Dispatch, Kind
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.wording import nearest

Block = Callable[[Any], Any]
Wait = Callable[[Any], Coroutine[Any, Any, Any]]


@attrs.frozen(eq=False)
class Answer:
    """What answers the payloads of a hook, compiled from one table.

    Attributes:
        block: payload to result, blocking; called while all of ``plugins`` are held.
        wait: the same, awaited.
        plugins: those that may be called; none of them is torn down meanwhile.
        choosing: ``block`` and ``wait`` for callers that hold none: they hold the one plugin that they choose, and
            raise ``Moved`` if plugins changed; ``None`` where all of ``plugins`` are called.
    """

    block: Block
    wait: Wait
    plugins: Collection[Plugin]
    choosing: tuple[Block, Wait] | None = None


class Form(Enum):
    """How a caller wants to be answered."""

    OWN = auto()
    """By the hook's colour: a value or something to await."""
    AIO = auto()
    """Always something to await."""
    SYNC = auto()
    """Always a value, blocking until it is there; not on the plugins' own loop, whoever answers."""


class HasSlots(Protocol):
    """What a dispatcher needs of a registry."""

    def slot(self, kind: str) -> Slot:
        """The place of a kind; ``KindUnknown`` if there is none."""


class HookDispatcher:
    """One hook, ready to be called: the arguments are the payload's.

    Args:
        registry: where the plugins are.
        kind: the hook's kind.
        hook: the hook's name.
        form: how the caller wants to be answered.
        require: capabilities that a plugin must declare to take part.

    Raises:
        KindUnknown: if the kind has no hookspec.
        HookUnknown: if the kind has no such hook.
        DispatchMismatch: if the hook is of another dispatch class.
    """

    dispatch: ClassVar[Dispatch | None] = None
    """The dispatch class that it serves; ``None``: any."""

    def __init__(
        self,
        registry: HasSlots,
        kind: str,
        hook: str,
        *,
        form: Form = Form.OWN,
        require: frozenset[str] = frozenset(),
    ) -> None:
        self._slot = registry.slot(kind)
        declared = self._slot.compiled.kind.hooks.get(hook)
        if declared is None:
            raise unknown_hook(self._slot.compiled.kind, hook)
        if self.dispatch is not None and declared.dispatch is not self.dispatch:
            raise DispatchMismatch(
                f"{kind}.{hook} is {declared.dispatch}, and {type(self).__name__} serves {self.dispatch}; "
                f"registry.kind({kind!r}).{hook} calls it as what it is",
                kind=kind,
                hook=hook,
            )
        self.kind = self._slot.compiled.kind.name
        self.hook = hook
        self._form = form
        self._require = require
        self._run = self._linked_first
        self._held: tuple[Answer, Lane]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the hook."""
        return self._run(args, kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.kind}.{self.hook}>"

    def answer(self, table: Table) -> Answer:
        """What answers a payload; compiled once for each table."""
        raise NotImplementedError

    def link(self, table: Table) -> None:
        """Compile the call from ``table``."""
        # The colour is the hook's: settled by all plugins of the kind, not by those that this caller admits.
        is_async, home = self._is_async(table), table.home
        answer, traffic = self.answer(table.restricted(self._require)), table.traffic
        lane = traffic.open(answer.plugins)
        self._held = answer, lane
        block, wait = answer.choosing or (answer.block, answer.wait)
        if answer.choosing:
            lane = traffic.open(())
        load, enter, leave = table.compiled.codecs[self.hook].load, lane.append, lane.pop

        def run_blocking(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            try:
                enter(None)  # inside, as an interrupt comes after a call: it must not leave without leaving the lane
                if not traffic.closed:
                    return block(load(args, kwargs))
            except Moved as moved:
                args, kwargs = (moved.payload,), {}
            finally:
                leave()
            return self._again(args, kwargs)

        def run_elsewhere(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            home.refuse_here()
            return run_blocking(args, kwargs)

        async def run_waiting(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            try:
                enter(None)
                if not traffic.closed:
                    return await wait(load(args, kwargs))
            except Moved as moved:
                args, kwargs = (moved.payload,), {}
            finally:
                leave()
            return await self._again_waiting(args, kwargs)

        if is_async:
            # What Python calls a coroutine that nobody awaited.
            run_waiting.__qualname__ = f"{self.kind}.{self.hook}"
            self._run = run_waiting
        else:
            self._run = run_elsewhere if self._form is Form.SYNC else run_blocking

    def unlink(self) -> None:
        """Compile the call again before it is made next."""
        self._run = self._linked_first

    def hold(self) -> tuple[Answer, Lane]:
        """Enter for a call that plugins can't change under any more; the caller leaves the lane when it is over."""
        answer, lane = self._held
        lane.append(None)
        return answer, lane

    # Plugins changed between the look at the table and the call. It is entered together with the next look, so that
    # it is made however fast they change.
    def _again(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        answer, lane = self._slot.hold(self)
        try:
            return answer.block(self._load(args, kwargs))
        finally:
            lane.pop()

    async def _again_waiting(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        answer, lane = self._slot.hold(self)
        try:
            return await answer.wait(self._load(args, kwargs))
        finally:
            lane.pop()

    def _load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._slot.compiled.codecs[self.hook].load(args, kwargs)

    def _is_async(self, table: Table) -> bool:
        return table.is_async(self.hook) if self._form is Form.OWN else self._form is Form.AIO

    def _linked_first(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            self._slot.link(self)
        except PluginRegistryError as error:
            if self._is_async(self._slot.table()):
                return _failing(error)
            raise
        return self._run(args, kwargs)


async def _failing(error: Exception) -> Any:
    """An error for whoever awaits: async hooks fail when they are awaited, not when they are called."""
    raise error


def unknown_hook(kind: Kind, hook: str) -> HookUnknown:
    """The error for a hook that a kind doesn't have."""
    return HookUnknown(
        f"kind {kind.name!r} has no hook {hook!r}{nearest(hook, kind.hooks)}; its hooks: {', '.join(kind.hooks)}",
        kind=kind.name,
        hook=hook,
    )
