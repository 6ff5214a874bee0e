"""``PluginRegistry``: the one object that a host holds; it only joins the rooms below."""

from __future__ import annotations

import importlib
import inspect
import os
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, overload

import pluggy

from dagstack_plugins.calls import bound_metadata
from dagstack_plugins.context import PluginContext
from dagstack_plugins.discovery.admission import HostRules
from dagstack_plugins.discovery.folders import DEFAULT_IGNORE, plugin_folders
from dagstack_plugins.discovery.loading import unload_packages
from dagstack_plugins.discovery.sources import ModuleSource, ObjectSource, Source
from dagstack_plugins.dispatch.catalogue import Catalogue
from dagstack_plugins.dispatch.proxy import Proxy, active_proxy, kind_proxy, plugin_proxy
from dagstack_plugins.dispatch.routing import RoutingPolicy
from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.errors import (
    PluginLoadError,
    PluginUnavailable,
)
from dagstack_plugins.kinds.codec import Validate
from dagstack_plugins.kinds.given import kinds_of
from dagstack_plugins.kinds.hookspec_class import HookSpec, KindProxy, PluginProxy
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.kinds.payloads import PayloadTypes
from dagstack_plugins.lifecycle.running import Running
from dagstack_plugins.lock import PluginLock
from dagstack_plugins.manifest import PluginManifest, load_manifest
from dagstack_plugins.plugin import USABLE, PluginStatus
from dagstack_plugins.resources.registry import ResourceRegistry
from dagstack_plugins.roster import Roster
from dagstack_plugins.rounds import Rounds
from dagstack_plugins.runtimes.home import HomeLoop
from dagstack_plugins.runtimes.installed import RUNTIMES, installed_ones
from dagstack_plugins.submission import Units
from dagstack_plugins.wording import dotted, one_of, shown

_REMOTE = "DAGSTACK_REMOTE_PLUGINS"
"""The variable that names a folder of manifests."""
_PROXIES = 10_000
"""Proxies that are kept, so that asking for one is cheap."""
KindLike = str | type[HookSpec[Any, Any]]
"""A kind's name, or the class that the emitter wrote of it."""
ManifestLike = PluginManifest | Mapping[str, Any] | str | Path


class PluginRegistry:
    """Finds plugins, starts them, and routes calls to them.

    Args:
        validate: ``"all"`` checks input and output of each call, ``"input"`` inputs only, ``"off"`` nothing. What is
            checked is copied as well; with ``"off"``, callers and plugins hand each other their own objects.
        resource_registry: what the host lends to plugins; by default a clock, randomness and temporary folders.
        runtimes: where plugins may run, first choice first; by default all that are installed.
        runtime_for: (kind, name) to the runtime of that one plugin.
        process_workers: how many calls of plugins that say ``process_cpu_bound`` run at once; by default as many as the
            machine has processors.
        thread_workers: how many calls of plugins that say ``thread_cpu_bound`` run at once; by default four more than
            the machine has processors, and at most 32.
        lock: a lock file, or what was read from one: plugins in folders and distributions that it doesn't hold, or that
            differ from it, are refused before any code of them runs.
        allow_capabilities: the ``capabilities`` that plugins may declare; one that declares more is refused. By
            default any.

    Examples:
        >>> registry = PluginRegistry()
        >>> class Echo:
        ...     def execute(self, args):
        ...         return {"echoed": args["msg"]}
        >>> manifest = {"name": "echo", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
        >>> _ = registry.register(Echo, manifest)
        >>> with registry.running():
        ...     registry.get_plugin("tool", "echo").execute(msg="hello")
        {'echoed': 'hello'}
    """

    def __init__(
        self,
        *,
        validate: str = "all",
        resource_registry: ResourceRegistry | None = None,
        runtimes: Sequence[str] | None = None,
        runtime_for: Mapping[tuple[str, str], str] | None = None,
        thread_workers: int | None = None,
        process_workers: int | None = None,
        lock: PluginLock | str | Path | None = None,
        allow_capabilities: Collection[str] | None = None,
    ) -> None:
        if validate not in list(Validate):
            raise ValueError(f"validate is {one_of([repr(str(one)) for one in Validate])}, found {validate!r}")
        rules = HostRules(
            RUNTIMES if runtimes is None else installed_ones(runtimes),
            _runtimes(runtime_for or {}),
            PluginLock.read(lock) if isinstance(lock, str | Path) else lock,
            _names(allow_capabilities),
        )
        installed_ones(rules.runtime_for.values())
        for name, workers in (("thread_workers", thread_workers), ("process_workers", process_workers)):
            if workers is not None and (type(workers) is not int or workers < 1):
                raise ValueError(f"{name} is a whole number, 1 or more, found {shown(workers)}")
        self._home = HomeLoop(thread_workers, process_workers)
        self._looked_in: dict[str, None] = {}
        looked_in = self._looked_in
        self._catalogue = Catalogue(Validate(validate), self._home, lambda: _nowhere(looked_in, roster))
        self._roster = roster = Roster(self._catalogue, rules)
        resources = ResourceRegistry() if resource_registry is None else resource_registry
        self._rounds = Rounds(self, self._catalogue, self._roster, self._home, PluginContext(), resources)
        self._proxies: dict[tuple[str, str | None, frozenset[str]], Proxy] = {}
        weakref.finalize(self, unload_packages, self._roster.packages).atexit = False

    # Kinds

    def add_hookspecs(self, given: str | Path | type[HookSpec[Any, Any]] | ModuleType | Kind) -> list[str]:
        """Make kinds known, and load the plugins that waited for them.

        Args:
            given: a hookspec file, a kind's folder, or a folder of kinds; or a class or module that the emitter wrote.

        Returns:
            The names of the kinds.

        Raises:
            HookspecInvalid: if one is faulty, or known with other content; then none is added.
            AmbiguousPlugin: at the end, if another thread took the name of a plugin that waited.
        """
        kinds = kinds_of(given)
        self._catalogue.add_all(kinds)
        self._roster.admit_waiting({kind.name for kind in kinds})
        return list(dict.fromkeys(kind.name for kind in kinds))

    def slot(self, kind: KindLike) -> Slot:
        """The place of a kind: what dispatchers are made from.

        Args:
            kind: its name, for the newest major that is known; ``name@major``; or the emitted class.

        Raises:
            KindUnknown: if the kind has no hookspec.
            HookspecInvalid: if it is named by a class that declares something else.
        """
        name = _name_of(kind)
        slot = self._catalogue.find(name) if isinstance(name, str) else None
        if slot is None:
            raise self._roster.kind_unknown(name)
        if not isinstance(kind, str):
            slot.check_same(kind)
        return slot

    def slots(self, kind: str) -> list[Slot]:
        """The places of all majors of a kind that are known, the newest last."""
        return [slot for _, slot in sorted(self._catalogue.majors(kind).items())]

    def _slot_of(self, kind: KindLike, plugin: str | None) -> Slot:
        """The place of a kind; where only its name is given, of the major that has a plugin."""
        slot = self.slot(kind)
        if plugin is None or not isinstance(kind, str) or slot.table().named(plugin) is not None:
            return slot
        return next((one for one in self.slots(kind) if one.table().named(plugin) is not None), slot)

    def types(self, kind: KindLike) -> PayloadTypes:
        """The payload classes of a kind, by attribute and by item: ``registry.types("tool")``."""
        return self.slot(kind).compiled.types

    def kinds(self) -> list[str]:
        """The names of all known kinds, built-in ones included."""
        return self._catalogue.names()

    def plugin_manager(self, kind: str) -> pluggy.PluginManager:
        """The kind in pluggy, as it is now: hook specifications, plugins in our order, results boxed in one-tuples.

        Its ``add_hookcall_monitoring`` and ``enable_tracing`` see every call of the kind, also of plugins that come
        later; while they are on, calls take pluggy's own loop instead of a shortcut past it.
        """
        return self.slot(kind).table().manager

    # Plugins

    def discover(
        self,
        path: str | Path,
        *,
        recursive: bool = True,
        ignore: Collection[str] = DEFAULT_IGNORE,
        strict: bool = False,
    ) -> list[PluginManifest]:
        """Register the plugins below a folder; a faulty one is kept as unavailable and stops no other.

        Args:
            path: the folder; a relative one counts from the working directory.
            recursive: look below its folders as well.
            ignore: glob patterns for names of folders to pass over.
            strict: register nothing if anything is faulty.

        Returns:
            The manifests of the plugins that were registered by this call.

        Raises:
            FileNotFoundError, NotADirectoryError: if ``path`` isn't a folder.
            AmbiguousPlugin: at the end, if a second plugin of the same kind and name was found; the first is kept.
            ExceptionGroup: under ``strict``, all faults.
        """
        root = Path(path).expanduser().absolute()
        importlib.invalidate_caches()
        found = plugin_folders(root, recursive=recursive, ignore=ignore)
        self._looked_in[str(root)] = None
        self._roster.drop_gone(root)
        return self._roster.take(self._roster.candidates(root, found), strict=strict)

    def register(self, plugin: Any, manifest: ManifestLike) -> PluginManifest:
        """Register one plugin.

        Args:
            plugin: its class, an object, or a module of functions marked with ``hookimpl``.
            manifest: its manifest, as an object, a dict or a file's path.

        Raises:
            PluginRegistryError: whatever is wrong with it, at once.
            FileNotFoundError: if ``manifest`` is a path, and nothing is there.
        """
        return self._take_one(ObjectSource(plugin), manifest)

    def register_module(self, module: ModuleType) -> PluginManifest:
        """Register the plugin in a module, whose manifest is its ``DAGSTACK_PLUGIN_MANIFEST``.

        Raises:
            PluginRegistryError: whatever is wrong with it, at once.
            FileNotFoundError: if its manifest is a path, and nothing is there.
        """
        manifest = getattr(module, "DAGSTACK_PLUGIN_MANIFEST", None)
        if manifest is None:
            raise PluginLoadError(
                f"module {module.__name__} has no DAGSTACK_PLUGIN_MANIFEST; set it to the manifest, a dict or a path",
                file=getattr(module, "__file__", None),
            )
        return self._take_one(ModuleSource(module), manifest)

    def _take_one(self, source: Source, given: ManifestLike) -> PluginManifest:
        manifest = _as_manifest(given)
        self._roster.take_one(source, manifest)
        return manifest

    def load_entry_points(self, group: str = "dagstack.plugins", *, strict: bool = False) -> list[PluginManifest]:
        """Register the plugins of installed distributions.

        Args:
            group: the group of entry points.
            strict: register nothing if anything is faulty.

        Raises:
            AmbiguousPlugin: at the end, if a second plugin of the same kind and name was found.
            ExceptionGroup: under ``strict``, all faults.
        """
        # Imported here: what Python reads metadata with takes a tenth of this package's import.
        from dagstack_plugins.discovery.distributions import installed_plugins

        self._looked_in[f"entry points {group!r}"] = None
        return self._roster.take(self._roster.installed(installed_plugins(group)), strict=strict)

    def load_remote(self, path: str | Path | None = None, *, strict: bool = False) -> list[PluginManifest]:
        """Register plugins that run elsewhere, of which there is a manifest and no code here.

        Args:
            path: a folder of manifests, ``*.toml`` and ``*.json``, one plugin each; by default the one that the
                environment variable ``DAGSTACK_REMOTE_PLUGINS`` names, and nothing where that is not set.
            strict: register nothing if anything is faulty.

        Returns:
            The manifests of the plugins that were registered by this call.

        Raises:
            FileNotFoundError, NotADirectoryError: if it isn't a folder.
            AmbiguousPlugin: at the end, if a second plugin of the same kind and name was found; the first is kept.
            ExceptionGroup: under ``strict``, all faults.
        """
        named = os.environ.get(_REMOTE) if path is None else path
        if not named:
            return []
        folder = Path(named).expanduser().absolute()
        self._looked_in[str(folder)] = None
        try:
            return self._roster.take(self._roster.manifests(folder), strict=strict)
        except (FileNotFoundError, NotADirectoryError) as error:
            told = f"{error.strerror}, and a folder of manifests is wanted"
            told += f", as {_REMOTE} names it" if path is None else ""
            raise type(error)(error.errno, told, error.filename) from None

    async def unregister(self, kind: KindLike, name: str) -> None:
        """Tear a plugin down, remove it, and forget its code.

        Raises:
            KindUnknown: if the kind has no hookspec.
            PluginUnavailable: if there is no plugin of that name.
            TeardownErrors: if it failed in its teardown; it is removed all the same.
            PluginRegistryError: if a plugin asks for it in its own setup or teardown.
        """
        plugin = self._roster.named(kind, name) if isinstance(kind, str) else None  # one may wait for its kind
        if plugin is None:
            slot = self._slot_of(kind, name)
            plugin = slot.accepted(name)
            if plugin is None:
                raise self._unknown_plugin(slot, name)
        for slot in self.slots(str(plugin.kind)):
            self._proxies.pop((slot.address, name, frozenset()), None)
        await self._rounds.remove(plugin)

    def list_manifests(self) -> list[PluginManifest]:
        """The manifests of all registered plugins, by kind and order."""
        manifests = [plugin.manifest for plugin in self._roster.plugins if plugin.manifest and not plugin.refused]
        return sorted(manifests, key=lambda manifest: (manifest.kind, manifest.sort_key))

    def status(self) -> list[PluginStatus]:
        """How each plugin is, refused ones included."""
        found = [plugin.status() for plugin in self._roster.plugins]
        return sorted(found, key=lambda one: (one.kind or "", one.name or "", one.location))

    def unavailable_plugins(self) -> list[PluginStatus]:
        """The plugins that can't be called."""
        return [status for status in self.status() if status.state not in USABLE]

    # Starting and stopping

    @property
    def resource_registry(self) -> ResourceRegistry:
        """What the host lends to plugins."""
        return self._rounds.resources

    @property
    def units(self) -> Units:
        """Units of work: ``submit``, ``wait``, ``events``; handed to the kind ``orchestrator``'s active plugin."""
        return Units(self)

    def running(self, ctx: PluginContext | None = None) -> Running[PluginRegistry]:
        """Start all plugins for a block, and tear them down after it.

        ``async with registry.running(ctx)`` makes the running loop the plugins' home; ``with registry.running(ctx)``,
        for programs without a loop, brings one in a thread of its own. Blocks on one loop may overlap: plugins run
        until the last one ends.

        Args:
            ctx: what the host lends to its plugins.
        """
        return Running(self, lambda: self._rounds.start(ctx, strict=False, block=True), self._rounds.leave)

    async def setup_all(self, ctx: PluginContext | None = None, *, strict: bool = False) -> None:
        """Start every plugin that doesn't run yet, those it depends on first.

        Args:
            ctx: what the host lends to its plugins; the one given last stays.
            strict: if one fails, tear down those that this call started and raise.

        Raises:
            DependencyCycle: if plugins depend on each other in a circle; nothing was started.
            AmbiguousPlugin: if nothing decides who is active, or a kind has two fallbacks; nothing was started.
            PluginUnavailable: if the environment names an unknown plugin; nothing was started.
            ExceptionGroup: under ``strict``, what failed.
            PluginRegistryError: if plugins run on another event loop, or if a plugin asks for it in its own setup.
            CancelledError: if the caller was cancelled; what this call had started was torn down.
        """
        await self._rounds.start(ctx, strict=strict)

    async def teardown_all(self) -> None:
        """Tear down every plugin that runs, dependents first; each one is tried.

        Raises:
            TeardownErrors: at the end, if some failed or overran.
            PluginRegistryError: if a plugin asks for it in its own setup or teardown.
        """
        await self._rounds.stop()

    # Calls

    @overload
    def get_plugin(self, kind: type[HookSpec[PluginProxy, Any]], name: str | None = None) -> PluginProxy: ...

    @overload
    def get_plugin(self, kind: str, name: str | None = None) -> Proxy: ...

    def get_plugin(self, kind: KindLike, name: str | None = None) -> Any:
        """A proxy of one plugin; without a name, of the active one, whichever that is at each call.

        Args:
            kind: the plugin's kind: its name, or the emitted class, for which type checkers know the hooks.
            name: the plugin's name.

        Raises:
            KindUnknown: if the kind has no hookspec; without a name, also if it has no plugin.
            PluginUnavailable: if there is no plugin of that name.
        """
        slot = self._slot_of(kind, name)
        table = slot.table()
        if name is not None:
            if table.named(name) is None:
                raise self._unknown_plugin(slot, name)
            return self._proxy((slot.address, name, frozenset()), lambda: plugin_proxy(self, table.kind, name))
        if not table.plugins:
            raise table.nobody(next(iter(table.kind.hooks)))
        slot.read_environment()
        slot.check_choice()
        return self._proxy((slot.address, "", frozenset()), lambda: active_proxy(self, table.kind))

    @overload
    def kind(self, kind: type[HookSpec[Any, KindProxy]], *, require: Collection[str] = ()) -> KindProxy: ...

    @overload
    def kind(self, kind: str, *, require: Collection[str] = ()) -> Proxy: ...

    def kind(self, kind: KindLike, *, require: Collection[str] = ()) -> Any:
        """A proxy of a kind, each hook by its dispatch class.

        Args:
            kind: the kind: its name, or the emitted class.
            require: keep only plugins that declare all of these ``capabilities``.

        Raises:
            KindUnknown: if the kind has no hookspec.
        """
        if isinstance(require, str):
            raise TypeError(f"require takes several capabilities: {{{require!r}}}, not {require!r}")
        slot = self.slot(kind)
        slot.read_environment()
        wanted = frozenset(require)
        declared = slot.compiled.kind
        return self._proxy((slot.address, None, wanted), lambda: kind_proxy(self, declared, wanted))

    def _proxy(self, key: tuple[str, str | None, frozenset[str]], make: Callable[[], Proxy]) -> Proxy:
        proxy = self._proxies.get(key)
        if proxy is None:
            if len(self._proxies) >= _PROXIES:
                self._proxies.clear()  # they are made again when they are asked for
            proxy = self._proxies.setdefault(key, make())
        return proxy

    def set_active(self, kind: KindLike, name: str | None) -> None:
        """Choose the active plugin of a kind; ``None`` takes the choice back.

        Raises:
            KindUnknown: if the kind has no hookspec.
            PluginUnavailable: if there is no plugin of that name.
        """
        slot = self._slot_of(kind, name)
        if name is not None and slot.table().named(name) is None:
            raise self._unknown_plugin(slot, name)
        if name is None and isinstance(kind, str):
            for one in self.slots(kind):
                one.choose(set_active=None)
        slot.choose(set_active=name)

    def set_routing_policy(self, kind: KindLike, policy: RoutingPolicy | None) -> None:
        """Let a function choose the active plugin of a kind at each call.

        It is asked before ``set_active``, the environment and the order of plugins, for the kind's singleton hooks and
        for ``get_plugin(kind)``; it should return quickly, as the call waits for it.

        Args:
            kind: the kind.
            policy: gets a ``RoutingRequest`` (kind, hook, payload, metadata) and returns a plugin's name, or ``None``
                to leave the choice as it would be without; ``None`` in its place takes the policy back.

        Raises:
            KindUnknown: if the kind has no hookspec.

        Examples:
            >>> registry = PluginRegistry()
            >>> class Voice:
            ...     def __init__(self, word): self.word = word
            ...     def execute(self, args): return self.word
            >>> for name in ("low", "high"):
            ...     manifest = {"name": name, "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}
            ...     _ = registry.register(Voice(name), manifest)
            >>> registry.set_routing_policy("tool", lambda request: request.metadata.get("voice", "low"))
            >>> with registry.running(), registry.metadata(voice="high"):
            ...     registry.get_plugin("tool").execute()
            'high'

        .. versionadded:: 0.1
        """
        if policy is not None and (not callable(policy) or inspect.iscoroutinefunction(policy)):
            found = "an `async def`" if callable(policy) else shown(policy)
            raise TypeError(f"a routing policy is a plain function that returns a plugin's name, found {found}")
        self.slot(kind).route(policy)

    def _unknown_plugin(self, slot: Slot, name: str) -> PluginUnavailable:
        error = slot.table().unknown_plugin(name)
        if lost := self._roster.lost():
            error.add_note(f"it may be one of those that were refused, see registry.status(): {', '.join(lost)}")
        return error

    def metadata(self, /, **values: Any) -> AbstractContextManager[Mapping[str, Any]]:
        """Bind metadata for the calls inside a ``with`` block; plugins read it as ``ctx.metadata``.

        Args:
            values: names and JSON values; they are laid over those of blocks around.

        Raises:
            TypeError: if a value has no form in JSON.
        """
        try:
            return bound_metadata(to_json(values))
        except NotJson as error:
            raise TypeError(f"metadata is JSON, but {dotted(error.path, '')} {error}") from None

    def __repr__(self) -> str:
        return f"<PluginRegistry: {len(self.list_manifests())} plugins, {len(list(self._catalogue))} kinds in use>"


def _name_of(kind: Any) -> Any:
    return kind.kind.address if isinstance(kind, type) and issubclass(kind, HookSpec) else kind


def _runtimes(runtime_for: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    for key in runtime_for:
        if not (isinstance(key, tuple) and len(key) == 2 and all(isinstance(part, str) for part in key)):
            raise TypeError(f"runtime_for takes {{(kind, name): runtime}}, found the key {shown(key)}")
    return dict(runtime_for)


def _names(capabilities: Collection[str] | None) -> frozenset[str] | None:
    if isinstance(capabilities, str):
        raise TypeError(f"allow_capabilities takes several: [{capabilities!r}], not {capabilities!r}")
    return None if capabilities is None else frozenset(capabilities)


def _nowhere(looked_in: Collection[str], roster: Roster) -> str:
    """Where plugins were looked for, for the error of a kind that has none."""
    if not looked_in:
        return "registry.discover(path) finds them"
    lost = roster.lost()
    told = f"; it may be one of those that were refused, see registry.status(): {', '.join(lost)}" if lost else ""
    return f"none was found in {', '.join(looked_in)}{told}"


def _as_manifest(given: ManifestLike) -> PluginManifest:
    if isinstance(given, PluginManifest):
        return given
    return load_manifest(given) if isinstance(given, str | Path) else PluginManifest.from_dict(given)
