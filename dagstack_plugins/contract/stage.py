"""The plugin in a host of its own, inside a test process: loaded, started, called, stopped, and started again."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import pickle
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import attrs

from dagstack_plugins.calls import StopChain
from dagstack_plugins.checkpoints import CheckpointStore
from dagstack_plugins.context import PluginContext
from dagstack_plugins.contract.diary import enter
from dagstack_plugins.contract.guard import guard_of_process
from dagstack_plugins.contract.inputs import Strategy, strategy
from dagstack_plugins.contract.loop import Loop
from dagstack_plugins.contract.neighbours import configured, taken
from dagstack_plugins.contract.outcome import Outcome
from dagstack_plugins.contract.placeholders import filled_in
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.verdict import Verdict, unanswered
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.discovery.loading import LoadedFolder
from dagstack_plugins.dispatch.implementation import invoker
from dagstack_plugins.errors import (
    PayloadInvalid,
    PluginLoadError,
    PluginRegistryError,
    PluginUnavailable,
    TeardownErrors,
)
from dagstack_plugins.kinds.binding import bind
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.jsonvalues import to_json
from dagstack_plugins.kinds.model import Hook
from dagstack_plugins.kinds.payload import plain
from dagstack_plugins.kinds.schemas import Schema, SchemaFiles
from dagstack_plugins.lifecycle.configuration import plugin_config
from dagstack_plugins.plugin import Plugin, PluginState
from dagstack_plugins.progress import NoProgress, ProgressSink
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.resources.blob_memory import InMemoryBlobStore
from dagstack_plugins.resources.clock import FrozenClock
from dagstack_plugins.resources.http_stub import StubHttpClient
from dagstack_plugins.resources.registry import ResourceRegistry
from dagstack_plugins.resources.rng import DeterministicRng
from dagstack_plugins.wording import place_of, raised

T = TypeVar("T")
_ANY_OBJECT: Final = {"type": "object"}
_AGES: Final = 1e6


class NotStarted(Exception):
    """The plugin can't be set up, so that nothing more can be seen of it.

    Args:
        error: why.
        of_manifest: whether its manifest, its configuration or its own schemas are at fault.
    """

    def __init__(self, error: BaseException, *, of_manifest: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.of_manifest = of_manifest


class Stage:
    """One plugin in a host of its own.

    Args:
        subject: the plugin.
        scratch: a folder for all that it may write.
        checkpoints: where its checkpoints go; by default in memory.
        progress: where its progress goes.
        resources: resources in place of those that it is given otherwise.
        as_declared: whether it runs by its own execution model; else plainly, in this process.
        given: the folder that ``${tmpdir}`` stands for.

    Attributes:
        config: its configuration.
        called: how often each hook was called.
        answered: how often it did not raise.
        failures: the last error of each hook.
    """

    def __init__(
        self,
        subject: Subject,
        scratch: Path,
        *,
        checkpoints: CheckpointStore | None = None,
        progress: ProgressSink | None = None,
        resources: Mapping[str, Any] | None = None,
        as_declared: bool = False,
        given: Path | None = None,
    ) -> None:
        self.subject = subject
        self.scratch = scratch
        self.given = given or scratch / "given"
        self._starts = 0
        self.config = self.filled(subject.config)
        self._checkpoints = checkpoints
        self._progress = progress or NoProgress()
        self._instead = dict(resources or {})
        logging.getLogger("dagstack_plugins").addHandler(logging.NullHandler())
        logging.getLogger("dagstack_plugins").propagate = False
        self._as_declared = as_declared
        self._load()
        self._loop: Loop | None = None
        self._resources: ResourceRegistry | None = None
        self._calls: dict[str, Callable[[Any], Any]] = {}
        self._awaited: set[str] = set()
        self._last: dict[str, tuple[str, Any]] = {}
        self.called: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.failures: dict[str, str] = {}

    def _load(self) -> None:
        """Load it; again, where its teardown says that it can't be started twice."""
        subject = self.subject
        self.registry = PluginRegistry(validate="all", runtimes=["in_process"])
        for file in subject.hookspecs:
            # A hookspec that is not this plugin's business may be faulty.
            with suppress(PluginRegistryError):
                self.registry.add_hookspecs(file)
        manifest = subject.manifest
        if not self._as_declared and manifest.execution_model.endswith("_cpu_bound"):
            manifest = attrs.evolve(manifest, execution_model="sync")
        for neighbour in subject.neighbours:
            taken(self.registry, neighbour)
        make, args = subject.source
        enter(self.scratch, "load")
        self._manifest = self.registry._take_one(make(*args), manifest)  # noqa: SLF001 - as a host that found it
        slots = self.registry.slots(manifest.kind)
        self._slot = next(slot for slot in slots if slot.accepted(manifest.name) is not None)

    def filled(self, value: Any) -> Any:
        """A value with the folders of this host in place of ``${tmpdir}`` and ``${plugin}``."""
        return filled_in(value, self.given, self.subject.own)

    def settled(self, value: Any) -> Any:
        """The same backwards: so that what two hosts answered can be compared."""
        text = json.dumps(value)
        for path, name in ((str(self.given), "${tmpdir}"), (str(self.scratch), "${scratch}")):
            text = text.replace(json.dumps(path)[1:-1], name)
        return json.loads(text)

    # What it is

    @property
    def plugin(self) -> Plugin:
        """The plugin, as its registry knows it."""
        found = self._slot.accepted(self.subject.manifest.name)
        assert found is not None
        return found

    @property
    def hooks(self) -> dict[str, Hook]:
        """The hooks that it has."""
        return {name: self._slot.compiled.kind.hooks[name] for name in self.plugin.bindings}

    def codec(self, hook: str) -> HookCodec:
        """The border of a hook."""
        return self._slot.compiled.codecs[hook]

    # Starting and stopping

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it lives on, while it runs."""
        assert self._loop is not None
        return self._loop.loop

    @property
    def loop_thread(self) -> threading.Thread:
        """The thread that the loop runs in."""
        assert self._loop is not None
        return self._loop.thread

    def open_loop(self) -> None:
        """Have a loop to live on."""
        if self._loop is None:
            _fill_standard_descriptors()
            self._loop = Loop()

    def start(self) -> None:
        """Set it up, with fresh resources, and the folder that it was given empty again.

        Raises:
            NotStarted: if that fails.
        """
        self.open_loop()
        self._empty()
        if self.plugin.state is PluginState.REQUIRES_RESTART:
            self._load()
        self._resources = self._lendable()
        kind, name = self.subject.manifest.key
        config = configured(self.subject.neighbours, self.given)
        config.setdefault(kind, {})[name] = self.config
        context = PluginContext(
            config,
            logging.getLogger("dagstack_plugins"),
            resources=self._resources,
            progress_sink=self._progress,
            checkpoint_store=self._checkpoints,
        )
        self._calls.clear()
        enter(self.scratch, "setup")
        self.on_loop(self.registry.setup_all(context))
        if not self.plugin.usable:
            error = self.plugin.error or PluginRegistryError(self.plugin.why_not)
            raise NotStarted(error, of_manifest=isinstance(error, PluginLoadError) or self._is_misconfigured(config))

    def _is_misconfigured(self, config: Mapping[str, Any]) -> bool:
        try:
            plugin_config(self.plugin, config)
        except PluginUnavailable:
            return True
        return False

    def _empty(self) -> None:
        """What it kept in its folder would be there after a restart, as it should: and make each start another."""
        self._starts += 1
        if self._starts > 1 and self.given.exists():
            for path in self.given.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def stop(self) -> None:
        """Tear it down; its loop stays until ``leave``.

        Raises:
            TeardownErrors: if that fails.
        """
        enter(self.scratch, "teardown")
        try:
            self.on_loop(self.registry.teardown_all())
        finally:
            if self._resources is not None:
                with suppress(Exception):
                    self._resources.close()

    def on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop that the plugin lives on."""
        assert self._loop is not None
        return self._loop.run(coroutine)

    def leave(self) -> None:
        """End the loop."""
        if self._loop is not None:
            self._loop.end()
            self._loop = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Started for a block, and stopped after it, whatever comes of that."""
        self.start()
        try:
            yield
        finally:
            with suppress(TeardownErrors):
                self.stop()
            self.leave()

    def _lendable(self) -> ResourceRegistry:
        """The parts for tests, the subject's own before them, a probe's before those."""
        subject = self.subject
        given: dict[str, Any] = {
            "clock": FrozenClock(),
            "rng": DeterministicRng(seed=0),
            "http_client": StubHttpClient(),
            "blob_store": InMemoryBlobStore(),
        }
        for name, made_by in subject.manifest.contract.get("resources", {}).items():
            given[name] = self._made(name, made_by)
        given |= {name: pickle.loads(parcel)[0] for name, parcel in subject.resources.items()}
        given |= self._instead
        registry = ResourceRegistry()
        for name, value in given.items():
            if value is not None:
                guard_of_process().lend(value)
                registry.register(name, value)
        return registry

    def _made(self, name: str, made_by: str) -> Any:
        module, _, function = made_by.partition(":")
        folder = self.subject.manifest.folder
        try:
            if folder is None:
                raise PluginRegistryError("the manifest comes from no folder")
            return getattr(_fakes(folder, self.subject.manifest.name, module), function)()
        except Exception as error:
            raise NotStarted(
                PluginRegistryError(
                    f"[plugin.contract.resources] {name} = {made_by!r} makes no resource: {raised(error)}"
                )
            ) from error

    # Calls

    def call(self, hook: str, payload: Any, *, on_loop: bool = False) -> Outcome:
        """Call a hook past all checks of what comes back: as the plugin returned it.

        Args:
            hook: the hook.
            payload: its input.
            on_loop: call it on the loop too, where coroutine functions are called, and not only await it there.
        """
        enter(self.scratch, hook, payload)
        accepted = self.codec(hook).accept(json.loads(json.dumps(payload)))
        before = json.dumps(plain(accepted))
        last, self._last[hook] = self._last.get(hook), (before, accepted)
        awaited = False
        try:
            call = self._call_of(hook)
            value = self.on_loop(_called(call, accepted)) if on_loop else call(accepted)
            awaited = inspect.isawaitable(value) and self.plugin.bindings[hook].is_async
            if awaited:
                value = self.on_loop(_awaited(value))
        except BaseException as error:  # SystemExit too: whatever it is, it is what came of the call
            self.failures[hook] = f"{raised(error)}{place_of(error)}"
            return Outcome(
                error=error, awaited=awaited, changed=_changed(before, accepted) or (last and _changed(*last))
            )
        finally:
            self.called[hook] = self.called.get(hook, 0) + 1
        self.answered[hook] = self.answered.get(hook, 0) + 1
        stopped = type(value) is StopChain
        if stopped:
            value = value.value if value.has_value else plain(accepted)
        return Outcome(
            value, stopped=stopped, awaited=awaited, changed=_changed(before, accepted) or (last and _changed(*last))
        )

    def answers_at_once(self, hook: str, payload: Any) -> bool:
        """Whether a hook that should be awaited is a plain function, and returns nothing to await."""
        method = getattr(self.plugin.instance, hook, None)
        if method is None or inspect.iscoroutinefunction(inspect.unwrap(method)) or hook in self._awaited:
            return False
        codec = self.codec(hook)
        try:
            plainly = bind(method, codec.input.type, is_async=False).invoker(self.plugin.context, typed=True)
            value = plainly(codec.accept(self.filled(payload)))
        except Exception:
            return False
        if inspect.isawaitable(value):
            self._awaited.add(hook)
            self.on_loop(_awaited(value))
            return False
        return True

    def call_as_hosts_do(self, hook: str, payload: Any) -> dict[str, Any]:
        """Call a hook through its registry; the outcome as JSON."""
        proxy = self.registry.get_plugin(*self.subject.manifest.key)
        try:
            return {"value": to_json(getattr(proxy.sync, hook)(payload))}
        except Exception as error:
            return {"error": type(error).__name__, "message": raised(error)}

    def verdict(self, findings: Iterable[Finding], reason: str = "") -> Verdict:
        """What a check says that called it; where it answered nothing, that nothing was found proves nothing."""
        verdict = Verdict.of(findings, reason)
        if verdict.findings or not self.called or self.answered:
            return verdict
        hook, raised_last = next(iter(self.failures.items()))
        return unanswered(hook, sum(self.called.values()), raised_last)

    def _call_of(self, hook: str) -> Callable[[Any], Any]:
        if hook not in self._calls:
            self._calls[hook] = invoker(self.plugin, self.plugin.bindings[hook], self.codec(hook))
        return self._calls[hook]

    def input_is_valid(self, hook: str, payload: Any) -> bool:
        """Whether a payload is one that the plugin has to take."""
        return not self.input_fault(hook, payload)

    def input_fault(self, hook: str, payload: Any) -> str:
        """Why a payload is none that the plugin has to take; empty if it is."""
        try:
            accepted = plain(self.codec(hook).accept(payload))
        except PayloadInvalid as error:
            return str(error.faults[0]) if error.faults else str(error)
        own = self.plugin.own_inputs.get(hook)
        fits = own is None or own.validator.is_valid(accepted if own.fill is None else own.fill(accepted))
        return "" if fits else "it breaks the schema that the plugin tells of itself"

    # Inputs

    def examples(self, hook: str) -> list[Any]:
        """The manifest's own inputs for a hook."""
        return [self.filled(example) for example in self.raw_examples(hook)]

    def raw_examples(self, hook: str) -> list[Any]:
        """The same, with ``${tmpdir}`` and ``${plugin}`` still in them."""
        given = self.subject.manifest.contract.get("examples", {}).get(hook, [])
        return [given] if isinstance(given, Mapping) else list(given)

    def strategy(self, hook: str) -> Strategy:
        """All inputs of a hook."""
        return strategy(*self.input_schema(hook), lambda value: self.input_is_valid(hook, value))

    def input_schema(self, hook: str) -> tuple[Schema, SchemaFiles]:
        """What a hook takes, and what references in it lead to."""
        kind = self._slot.compiled.kind
        own = self.own_schema(hook)
        if own is not None:
            return Schema(own, "own"), SchemaFiles(None)
        return kind.hooks[hook].input_schema or Schema(_ANY_OBJECT, "any"), kind.schemas

    def own_schema(self, hook: str) -> Any:
        """What the plugin itself says of its inputs, if it does."""
        source = self.plugin.schema_hooks.get(hook)
        return None if source is None else to_json(self.call(source, {}).value)


def _fill_standard_descriptors() -> None:
    """Those that a plugin closed would be the loop's next, for the plugin to close again."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest one that is free


@cache
def _fakes(folder: Path, name: str, module: str) -> ModuleType:
    """The module that makes resources for tests, loaded once: it is not the plugin's."""
    return LoadedFolder(folder, f"{name}_contract", str(folder.resolve())).load(module)


def _changed(before: str, payload: Any) -> Any:
    try:
        after = plain(payload)
        return None if json.dumps(after) == before else after
    except (TypeError, ValueError, RecursionError):  # no JSON any more
        return payload


async def _called(call: Callable[[Any], Any], payload: Any) -> Any:
    return call(payload)


async def _awaited(value: Any) -> Any:
    return await value
