"""``Plugin``: one plugin as the registry knows it, and the states that it goes through."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import attrs
import jsonschema_rs

from dagstack_plugins.contents import Contents
from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import PluginUnavailable
from dagstack_plugins.gate import Gate
from dagstack_plugins.kinds.binding import Binding
from dagstack_plugins.manifest import PluginManifest


class PluginState(StrEnum):
    """How a plugin is.

    Members:
        REGISTERED: known and loaded, not started.
        READY: started; takes calls.
        DEGRADED: takes calls; its last answer to a broadcast was a failure.
        UNAVAILABLE: refused, or failed to start.
        LEAKED: overran a timeout, so that its code may still run.
        REQUIRES_RESTART: torn down, and says that only a new process can start it again.
        STOPPED: torn down.
    """

    REGISTERED = "registered"
    READY = "ready"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"
    LEAKED = "leaked"
    REQUIRES_RESTART = "requires_restart"
    STOPPED = "stopped"


_changing: Final = threading.RLock()
"""Calls change states from any thread, while plugins start and stop."""
_RESTARTABLE: Final = frozenset({PluginState.REGISTERED, PluginState.UNAVAILABLE, PluginState.STOPPED})
_STARTS: Final = "`with registry.running():` or `await registry.setup_all()`"
USABLE: Final = frozenset({PluginState.READY, PluginState.DEGRADED})


@attrs.frozen
class PluginStatus:
    """How one plugin is, at one moment.

    Attributes:
        kind: its kind, ``None`` where its manifest could not be read.
        name: its name, ``None`` where its manifest could not be read.
        state: its state.
        reason: why it is in this state, for people; empty if there is nothing to say.
        error: the error behind it.
        runtime: where its code runs.
        location: the folder, module or distribution that it came from.
        since: when it came into this state (UTC).
        setup_seconds: how long its last setup took.
    """

    kind: str | None
    name: str | None
    state: PluginState
    reason: str
    error: BaseException | None
    runtime: str | None
    location: str
    since: datetime
    setup_seconds: float | None
    _contents: Contents | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def content_hash(self) -> str | None:
        """``sha256:…`` over the plugin's files, as they are when somebody first asks, or as a lock found them.

        ``None`` for what the host registered itself, and where files can't be read.
        """
        return None if self._contents is None else self._contents.readable_hash


@attrs.frozen(eq=False)
class OwnInput:
    """What a plugin itself says its inputs must be, beyond the kind's schema.

    Attributes:
        validator: of the plugin's schema.
        fill: fills its defaults in; ``None`` if it has none.
        properties: those that the schema declares, for messages.
        takes: the same as people read them, in brackets those that may be left out.
        schema: the schema itself.
    """

    validator: jsonschema_rs.Draft202012Validator
    fill: Callable[[Any], Any] | None
    properties: Sequence[str] = ()
    takes: str = ""
    schema: Mapping[str, Any] = attrs.field(factory=dict)


class Link(Protocol):
    """A plugin whose code runs elsewhere, as its host reaches it.

    Attributes:
        patience: seconds that a start may take.
    """

    patience: float

    @property
    def goes_on(self) -> bool:
        """Whether it may take calls later, if it doesn't now."""

    @property
    def away(self) -> str:
        """Why it takes no calls now; empty if it does."""

    @property
    def runs(self) -> bool:
        """Whether something of it is left."""

    async def start(self, wire: Any, context: PluginContext, tell: Callable[[str], None]) -> None:
        """Connect."""

    async def stop(self, wire: Any, *, hurry: bool = False) -> bool:
        """Disconnect; whether it may be started again in this process."""

    def bindings(self) -> dict[str, Binding]:
        """How the hooks are called that it has."""

    def own_inputs(self) -> Mapping[str, Any]:
        """For hooks whose inputs each plugin describes itself, their schemas."""

    def call(self, hook: str) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        """A function that calls a hook, where the connection lives."""


@attrs.define(eq=False)
class Plugin:
    """One plugin: manifest, instance, context, state.

    Attributes:
        location: the folder, module or distribution that it came from.
        contents: its files; ``None`` for what the host registered itself.
        manifest: ``None`` where it could not be read.
        kind: its kind, where known.
        name: its name, where known.
        runtime: where its code runs, once chosen.
        instance: the object whose methods are called.
        bindings: how each hook that it has is called.
        schema_hooks: for hooks whose inputs the plugin describes itself, the hook that does.
        own_inputs: what those said, once it was set up.
        matches: how its own ``matches`` is called, if it has one.
        config_schema: what its configuration must be.
        warnings: what is admitted, and yet was likely meant otherwise.
        context: what it was given in ``setup``.
        gate: admits as many calls at once as its ``max_concurrency`` says; ``None`` if that says nothing.
        implementations: what the dispatchers call, by hook; made anew at each start.
        package: the package that its code was loaded as, if it was loaded by the registry.
        recipe: how a worker process loads it, if it says ``process_cpu_bound``.
        workers: those processes, while it runs.
        link: the way to it, if its code runs elsewhere.
    """

    location: str
    manifest: PluginManifest | None = None
    kind: str | None = None
    name: str | None = None
    contents: Contents | None = None
    runtime: str | None = None
    instance: Any = None
    bindings: Mapping[str, Binding] = attrs.field(factory=dict)
    schema_hooks: Mapping[str, str] = attrs.field(factory=dict)
    own_inputs: Mapping[str, OwnInput] = attrs.field(factory=dict)
    matches: Binding | None = None
    config_schema: Mapping[str, Any] | None = None
    warnings: Sequence[str] = ()
    context: PluginContext | None = None
    gate: Gate | None = None
    implementations: dict[str, Any] = attrs.field(factory=dict)
    package: str | None = None
    recipe: bytes | None = None
    workers: Any = None
    link: Link | None = None
    state: PluginState = PluginState.REGISTERED
    reason: str = ""
    error: BaseException | None = None
    since: datetime = attrs.field(factory=lambda: datetime.now(UTC))
    setup_seconds: float | None = None

    @property
    def usable(self) -> bool:
        """Whether it takes calls."""
        return self.state in USABLE

    @property
    def runs(self) -> bool:
        """Whether there is something to stop."""
        return self.usable or (self.link is not None and self.link.runs)

    @property
    def needs_its_loop(self) -> bool:
        """Whether it has coroutine functions, which live on the loop that it was started on."""
        if self.recipe is not None or self.link is not None:
            return False
        methods = (getattr(self.instance, name, None) for name in ("setup", "teardown"))
        return any(binding.is_async for binding in self.bindings.values()) or any(
            map(inspect.iscoroutinefunction, methods)
        )

    @property
    def may_start(self) -> bool:
        """Whether ``setup_all`` should start it: loaded, not running, and no code of it left behind."""
        return not self.refused and self.state in _RESTARTABLE

    @property
    def refused(self) -> bool:
        """Whether it was never loaded: there is nothing to start."""
        return self.instance is None

    @property
    def label(self) -> str:
        """``kind/name``, or where it lies if that could not be read."""
        return f"{self.kind}/{self.name}" if self.kind and self.name else self.location

    def become(self, state: PluginState, reason: str = "", error: BaseException | None = None) -> None:
        """Change the state; whoever dispatches to it must be told by the caller."""
        with _changing:
            self.state, self.reason, self.error, self.since = state, reason, error, datetime.now(UTC)

    def degrade(self, reason: str, error: BaseException) -> None:
        """It failed in a broadcast; one that was stopped meanwhile stays so."""
        with _changing:
            if self.usable:
                self.become(PluginState.DEGRADED, reason, error)

    def recover(self) -> None:
        """A degraded plugin answered again."""
        with _changing:
            if self.state is PluginState.DEGRADED:
                self.become(PluginState.READY)

    def lose(self, reason: str) -> None:
        """The connection to it is broken, or still is; one that was stopped meanwhile stays so."""
        with _changing:
            if self.usable or self.state is PluginState.UNAVAILABLE:
                error = PluginUnavailable(reason, kind=self.kind, plugin=self.name)
                self.become(PluginState.UNAVAILABLE, reason, error)

    def regain(self) -> None:
        """It is there again."""
        with _changing:
            if self.state is PluginState.UNAVAILABLE:
                self.become(PluginState.READY)

    def status(self) -> PluginStatus:
        """How it is now."""
        return PluginStatus(
            self.kind,
            self.name,
            self.state,
            self.reason,
            self.error,
            self.runtime,
            self.location,
            self.since,
            self.setup_seconds,
            self.contents,
        )

    @property
    def why_not(self) -> str:
        """Why it takes no calls, in one line."""
        if self.state is PluginState.REGISTERED and not self.reason:
            return f"not started yet: {_STARTS} starts it"
        if self.state is PluginState.STOPPED and not self.reason:
            return f"stopped: {_STARTS} starts it again"
        return f"{self.state}: {self.reason}" if self.reason else str(self.state)
