"""Stands in the host for a plugin whose code runs elsewhere: hooks are calls of its server's tools.

The SDK is imported when a first plugin is started, as that takes a moment, and most hosts never need it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import logging
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from dagstack_plugins.calls import current_metadata
from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import Fault, PluginError, PluginUnavailable
from dagstack_plugins.kinds.binding import Binding
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.kinds.jsonvalues import to_json
from dagstack_plugins.kinds.payload import plain
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.runtimes.mcp.failures import AnswerTooLong, Lost, NoAnswer, Refused, TooDeep, TooLong, Unreachable
from dagstack_plugins.runtimes.mcp.fit import fit
from dagstack_plugins.runtimes.mcp.limits import INSTEAD, is_too_deep
from dagstack_plugins.runtimes.mcp.results import Expected, error_of, meta_of, value_of
from dagstack_plugins.runtimes.mcp.supervisor import Connection, Policy, Supervisor
from dagstack_plugins.runtimes.mcp.tools import SETUP, TEARDOWN, exposed, own_name
from dagstack_plugins.runtimes.wire import Wire
from dagstack_plugins.wording import one_line

_TOLD: Final = 20
"""Tools, and misfits, that are told by name."""
_LONGEST: Final = 500
"""Characters of a misfit that are told."""
_SECRET: Final = 4
"""Letters of a text that may be a secret; a shorter one stands in any message."""
_ENDED: Final = "it was stopped"


class _TimeIsUp(Exception):
    """A call took longer than it may; the message says so."""


def configuration(context: PluginContext) -> dict[str, Any]:
    """What a server is set up with that knows nothing of this package."""
    return {"config": to_json(context.config)}


class McpLink:
    """A plugin elsewhere.

    Args:
        manifest: the plugin's.
        compiled: its kind.
        policy: how it is reached.
        limit: seconds that a call may take, and the manifest's field that says so.
        patience: seconds that a start may take.
        given: what the tool ``setup`` is called with.

    Attributes:
        patience: see above.
    """

    def __init__(
        self,
        manifest: PluginManifest,
        compiled: CompiledKind,
        policy: Callable[[PluginContext], Policy],
        limit: tuple[float, str] | None,
        patience: float,
        given: Callable[[PluginContext], dict[str, Any]],
    ) -> None:
        self.patience = patience
        self._given = given
        self._manifest = manifest
        self._compiled = compiled
        self._policy = policy
        self._limit = limit
        self._supervisor: Supervisor | None = None
        self._tools: Mapping[str, str] = {}
        self._own_inputs: Mapping[str, Any] = {}
        self._wrapped: Collection[str] = ()
        self._wire: Wire | None = None
        self._said: set[str] = set()

    # Life

    async def start(self, wire: Wire, context: PluginContext, tell: Callable[[str], None]) -> None:
        """Connect, and see whether the server has what the kind asks for.

        Args:
            wire: where the connection lives.
            context: the plugin's.
            tell: is told of each change after this: why there is no connection, or an empty text once there is one.

        Raises:
            PluginUnavailable: if it can't be reached, or doesn't fit.
        """
        await asyncio.to_thread(importlib.import_module, "dagstack_plugins.runtimes.mcp.session")
        ready: concurrent.futures.Future[None] = concurrent.futures.Future()

        async def greet(connection: Connection) -> None:
            await self._greet(connection, context)

        self._wire, before = wire, self._supervisor
        # Reasons are a plugin's words, and its configuration may be in them.
        secrets = partial(_without, config=context.config)
        self._supervisor = Supervisor(self._policy(context), greet, tell, ready, secrets)
        wire.keep(_run, self._supervisor, before)
        try:
            await asyncio.wrap_future(ready)
        except Lost as error:
            raise PluginUnavailable(str(error), kind=self._manifest.kind, plugin=self._manifest.name) from None

    async def stop(self, wire: Wire, *, hurry: bool = False) -> bool:
        """Disconnect, and end what was started.

        Args:
            wire: where the connection lives.
            hurry: don't wait for what must be asked to end.

        Returns:
            Whether the plugin may be started again in this process.

        Raises:
            PluginError: if its teardown failed; it was ended all the same.
        """
        if (supervisor := self._supervisor) is None or supervisor.over:
            return True
        try:
            return hurry or await wire.wait(self._tear_down, supervisor)
        finally:
            await wire.wait(partial(supervisor.close, hurry=hurry))

    async def _tear_down(self, supervisor: Supervisor) -> bool:
        connection = supervisor.connection
        if connection is None or TEARDOWN not in self._tools:
            return True
        try:
            answer = await connection.call(self._tools[TEARDOWN], {}, None)
        except Exception as error:
            raise PluginError(f"its teardown got no answer: {error}", **self._known(TEARDOWN)) from None
        if answer.is_error:
            raise error_of(answer, "its teardown", self._known(TEARDOWN))
        said = answer.structured_content
        return not (isinstance(said, dict) and said.get("requires_restart") is True)

    @property
    def goes_on(self) -> bool:
        """Whether it may take calls later, if it doesn't now."""
        return self._supervisor is not None and self._supervisor.goes_on

    @property
    def away(self) -> str:
        """Why it takes no calls now; empty if it does."""
        supervisor = self._supervisor
        return "" if supervisor is None or supervisor.connection is not None else supervisor.why

    @property
    def runs(self) -> bool:
        """Whether something of it is left."""
        return self._supervisor is not None and not self._supervisor.over

    async def _greet(self, connection: Connection, context: PluginContext) -> None:
        # In a thread, as schemas may be large, and others want their answers meanwhile.
        found = await asyncio.to_thread(fit, await connection.tools(), self._manifest, self._compiled)
        if found.misfits:
            told = [one_line(one[:_LONGEST]) for one in found.misfits[:_TOLD]]
            raise Lost("it does not fit its kind:" + "".join(f"\n  - {one}" for one in told))
        self._tell_once(found.extra, context.logger)
        self._tools = found.tools
        if SETUP in found.tools:
            await self._set_up(connection, context)
        elif context.config:
            missing = own_name(SETUP, self._compiled.kind, self._manifest)
            context.logger.warning("its configuration goes nowhere, as its server has no tool %r to take it", missing)
        self._wrapped = found.wrapped
        self._own_inputs = {**found.own_inputs, **await self._schemas(connection)}

    async def _schemas(self, connection: Connection) -> dict[str, Any]:
        """What the plugin says of its own inputs, where its kind has a hook for that."""
        schemas = {}
        for hook in exposed(self._compiled.kind):
            source = hook.input_schema_hook
            if hook.name in self._tools and source is not None and source in self._tools:
                answer = await connection.call(self._tools[source], {}, None)
                if answer.is_error:
                    raise Lost(str(error_of(answer, f"its {source}", self._known(source))))
                schemas[hook.name] = value_of(answer, self._expected(source), wrapped=source in self._wrapped)
        return schemas

    def _expected(self, hook: str) -> Expected:
        return Expected.of(self._compiled.kind.hooks[hook], self._compiled.kind.schemas)

    def _tell_once(self, extra: Sequence[str], logger: logging.Logger) -> None:
        new = [name for name in extra if name not in self._said]
        if new and len(self._said) < _TOLD:
            self._said.update(new)
            more = f", and {len(new) - _TOLD} more" if len(new) > _TOLD else ""
            names = ", ".join(repr(one_line(name[:200])) for name in new[:_TOLD])
            logger.info("tools of its server that are none of its kind's, and are ignored: %s%s", names, more)

    async def _set_up(self, connection: Connection, context: PluginContext) -> None:
        # In a thread: what is lent to the plugin may have to be made for it.
        given = await asyncio.to_thread(self._given, context)
        answer = await connection.call(self._tools[SETUP], given, None)
        if answer.is_error:
            raise Lost(str(error_of(answer, "its setup", self._known(SETUP))))

    # Calls

    def bindings(self) -> dict[str, Binding]:
        """The hooks that it has; before the first connection, all that it may have."""
        return {
            hook.name: Binding(self._from_anywhere(hook.name), direct=True)
            for hook in exposed(self._compiled.kind)
            if not self._tools or hook.name in self._tools
        }

    def own_inputs(self) -> Mapping[str, Any]:
        """For hooks whose inputs each plugin describes itself, the schema that its server lists."""
        return self._own_inputs

    def _from_anywhere(self, hook: str) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        function = self.call(hook)

        async def call(payload: Any) -> Any:
            if self._wire is None:
                raise self._unavailable("it was never started")
            return await self._wire.wait(function, payload)

        return call

    def call(self, hook: str) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        """A function that calls a hook, to be awaited where the connection lives.

        Args:
            hook: the hook's name.
        """
        codec = self._compiled.codecs[hook]
        expected = self._expected(hook)

        async def call(payload: Any) -> Any:
            try:
                arguments = plain(payload) if codec.typed else to_json(payload)
            except Exception as error:
                codec.refuse_input(error)
            if is_too_deep(arguments):
                codec.refuse("input", [Fault("$", str(TooDeep()))])
            answer = await self._answer(hook, arguments)
            if answer.is_error:
                raise error_of(answer, self._whose, self._known(hook))
            try:
                return value_of(answer, expected, wrapped=hook in self._wrapped)
            except ValueError as error:
                raise PluginError(f"{self._whose} gave no result: {error}", **self._known(hook)) from None

        return call

    async def _answer(self, hook: str, arguments: dict[str, Any]) -> Any:
        supervisor, connection, tool = self._reached(hook)
        codec, name = self._compiled.codecs[hook], self._manifest.name
        try:
            answer = await self._in_time(connection.call(tool, arguments, meta_of(current_metadata())))
        except _TimeIsUp as error:
            supervisor.missed(connection, str(error))
            raise TimeoutError(str(error)) from None
        except NoAnswer as error:
            supervisor.missed(connection, str(error), is_gone=isinstance(error, Unreachable))
            raise self._unavailable(str(error)) from None
        except Lost:
            raise self._unavailable(await supervisor.why_lost()) from None
        except (TooLong, TooDeep) as error:
            codec.refuse_own_input([Fault("$", f"{error}; {INSTEAD}")], name, "")
        except AnswerTooLong as error:
            supervisor.answered(connection)
            codec.refuse("output", [Fault("$", str(error))], name)
        except Refused as error:
            supervisor.answered(connection)
            raise PluginError(f"{self._whose} refused the call: {error}", **self._known(hook)) from None
        supervisor.answered(connection)
        return answer

    def _reached(self, hook: str) -> tuple[Supervisor, Connection, str]:
        """The connection, and the tool of a hook."""
        supervisor = self._supervisor
        if supervisor is None:
            raise self._unavailable(_ENDED)
        if (connection := supervisor.connection) is None:
            raise self._unavailable(supervisor.why or _ENDED)
        if (tool := self._tools.get(hook)) is None:
            raise self._unavailable(f"its server has no tool for {hook!r}")
        return supervisor, connection, tool

    async def _in_time(self, call: Coroutine[Any, Any, Any]) -> Any:
        """A call, within the time that the manifest gives it."""
        if self._limit is None:
            return await call
        seconds, field = self._limit
        try:
            async with asyncio.timeout(seconds) as limit:
                return await call
        except TimeoutError:
            if not limit.expired():
                raise
            raise _TimeIsUp(f"the call took longer than {field} = {seconds:g}") from None

    @property
    def _whose(self) -> str:
        return f"plugin {self._manifest.name!r} of kind {self._manifest.kind!r}"

    def _known(self, hook: str) -> dict[str, str | None]:
        return {"kind": self._manifest.kind, "plugin": self._manifest.name, "hook": hook}

    def _unavailable(self, reason: str) -> PluginUnavailable:
        name = self._manifest.name
        return PluginUnavailable(
            f"{self._whose} can't be reached: {reason}", reasons={name: reason}, kind=self._manifest.kind, plugin=name
        )


def _without(told: str, config: Any) -> str:
    """A text of a plugin's, without what its host configured: that may be secret."""
    for secret in sorted(set(_texts(config)), key=len, reverse=True):  # one may be a part of another
        told = told.replace(secret, "…")
    return told


def _texts(config: Any) -> Iterator[str]:
    if isinstance(config, Mapping):
        for value in config.values():
            yield from _texts(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _texts(value)
    elif isinstance(config, str) and len(config) >= _SECRET:
        yield config


async def _run(supervisor: Supervisor, before: Supervisor | None) -> None:
    if before is not None and not before.over:  # of a start that failed, and is still tried for
        await before.close(hurry=True)
    await supervisor.run()
