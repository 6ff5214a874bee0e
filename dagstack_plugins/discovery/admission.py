"""What a plugin must pass before it is registered, in the order in which users can act on it."""

from __future__ import annotations

import copy
import functools
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import jsonschema_rs
from packaging.specifiers import SpecifierSet

from dagstack_plugins.discovery.loading import unload_packages
from dagstack_plugins.discovery.sources import ManifestSource, Place, Source
from dagstack_plugins.errors import (
    Fault,
    ManifestInvalid,
    PluginLoadError,
    PluginRegistryError,
    PluginUntrusted,
    RuntimeNotSupported,
    VersionIncompatible,
)
from dagstack_plugins.interrupts import is_interrupt
from dagstack_plugins.kinds.binding import Binding
from dagstack_plugins.kinds.builtin import MIDDLEWARE
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.lock import PluginLock
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.parcels import packed
from dagstack_plugins.plugin import Plugin, PluginState
from dagstack_plugins.runtimes.in_process import bind_hooks, bind_matches, make_instance, slips
from dagstack_plugins.runtimes.installed import RUNTIMES, lacking
from dagstack_plugins.runtimes.mcp.links import is_isolated, link_of
from dagstack_plugins.schemafaults import schema_sentence
from dagstack_plugins.version import VERSION
from dagstack_plugins.wording import dotted, place_of, raised, shown

_log: Final = logging.getLogger("dagstack_plugins")
_AGES: Final = 1e6
"""Seconds: no timeout, where the host has one."""


@attrs.frozen(eq=False)
class HostRules:
    """What the host says about where plugins run.

    Attributes:
        runtimes: the runtimes that it wants, first choice first.
        runtime_for: (kind, name) to the runtime of that one plugin.
        lock: what it trusts; ``None`` for whatever it finds.
        capabilities: those that plugins may declare; ``None`` for any.
    """

    runtimes: Sequence[str] = RUNTIMES
    runtime_for: Mapping[tuple[str, str], str] = attrs.field(factory=dict)
    lock: PluginLock | None = None
    capabilities: frozenset[str] | None = None


def refused(source: Place, error: PluginRegistryError, manifest: PluginManifest | None = None) -> Plugin:
    """A plugin that stays outside, with the reason."""
    plugin = Plugin(
        location=source.location,
        manifest=manifest,
        contents=source.contents,
        kind=manifest.kind if manifest else error.kind,
        name=manifest.name if manifest else error.plugin,
    )
    plugin.become(PluginState.UNAVAILABLE, str(error), error)
    return plugin


def admit(source: Source, manifest: PluginManifest, compiled: CompiledKind, rules: HostRules) -> Plugin:
    """Check a plugin whose kind is known, and load it.

    Raises:
        VersionIncompatible: if it was made for another version of its kind or of this package.
        RuntimeNotSupported: if it can't run here.
        ManifestInvalid: if the schema of its configuration is none.
        PluginLoadError: if its code fails, or doesn't fit its kind.
    """
    _check_versions(manifest, compiled)
    runtime = _runtime(source, manifest, compiled, rules)
    told = f"manifest {manifest.file or 'given as a dict'}"
    _check_config_schema(manifest, manifest.config_schema, told, "plugin.config_schema")
    try:
        return _loaded(source, manifest, compiled, runtime, rules)
    except BaseException as error:  # SystemExit too: whatever a plugin's code does, it does not take the host along
        if source.package is not None:
            unload_packages({source.package})
        if is_interrupt(error):
            raise
        if isinstance(error, PluginRegistryError):
            error.kind, error.plugin = manifest.kind, manifest.name
            raise
        raise PluginLoadError(
            f"{source.location}: its code raises {raised(error)}{place_of(error)} when it is looked at",
            file=source.location,
            kind=manifest.kind,
            plugin=manifest.name,
        ) from error


def _loaded(source: Source, manifest: PluginManifest, compiled: CompiledKind, runtime: str, rules: HostRules) -> Plugin:
    if runtime != "in_process":
        isolated = is_isolated(runtime, manifest)
        recipe = _recipe(source, _alone(manifest), compiled, rules) if isolated else None

        def check() -> None:
            check_trust(source, manifest, rules, anew=True)

        link = link_of(runtime, manifest, compiled, recipe, check)
        bindings = link.bindings()
        return _plugin(
            source, manifest, compiled, runtime, link, bindings, link=link, config_schema=manifest.config_schema
        )
    found = source.find(manifest, tuple(compiled.kind.hooks))
    instance = make_instance(found, manifest, source.location)
    schema = manifest.config_schema
    if schema is None:
        schema = getattr(instance, "config_schema", None)
        _check_config_schema(manifest, schema, f"{type(instance).__name__}.config_schema of {source.location}")
    bindings = bind_hooks(instance, compiled, manifest, source.location)
    warnings = tuple(slips(instance, compiled, bindings))
    for warning in warnings:
        _log.warning("plugin %s/%s: %s", manifest.kind, manifest.name, warning)
    in_workers = manifest.execution_model == "process_cpu_bound"
    return _plugin(
        source,
        manifest,
        compiled,
        runtime,
        instance,
        bindings,
        warnings=warnings,
        matches=bind_matches(instance, compiled, manifest, source.location),
        config_schema=schema,
        package=source.package,
        recipe=_recipe(source, _for_worker(manifest), compiled, rules) if in_workers else None,
    )


def _plugin(
    source: Source,
    manifest: PluginManifest,
    compiled: CompiledKind,
    runtime: str,
    instance: Any,
    bindings: Mapping[str, Binding],
    **more: Any,
) -> Plugin:
    return Plugin(
        location=source.location,
        manifest=manifest,
        kind=manifest.kind,
        name=manifest.name,
        contents=source.contents,
        runtime=runtime,
        instance=instance,
        bindings=bindings,
        schema_hooks=_schema_hooks(compiled, bindings),
        **more,
    )


def _schema_hooks(compiled: CompiledKind, bindings: Mapping[str, Binding]) -> dict[str, str]:
    asked = {name: hook.input_schema_hook for name, hook in compiled.kind.hooks.items() if name in bindings}
    return {name: source for name, source in asked.items() if source is not None and source in bindings}


def _locked(source: Source, rules: HostRules) -> str | None:
    """The content hash that a worker process must find too; ``None`` where nothing is locked."""
    return source.contents.hash if rules.lock is not None and source.contents is not None else None


def _recipe(source: Source, manifest: PluginManifest, compiled: CompiledKind, rules: HostRules) -> bytes:
    """How another process loads the plugin."""
    typed = any(codec.typed for codec in compiled.codecs.values())
    try:
        kind = compiled.kind.file or compiled.kind
        return packed((*source.elsewhere(), manifest, kind, typed, _locked(source, rules)))
    except Exception as error:
        raise PluginLoadError(
            f"{source.location}: another process can't load it: {raised(error)}; a plugin that runs in one "
            "is a folder, an installed distribution, or what can be pickled, such as a class of a module",
            file=source.location,
            kind=manifest.kind,
            plugin=manifest.name,
        ) from error


def _for_worker(manifest: PluginManifest) -> PluginManifest:
    """The manifest as a worker process gets it: what the host sees to is not done twice."""
    there = attrs.evolve(manifest, execution_model="sync", depends_on=(), max_concurrency=None)
    return attrs.evolve(there, startup_timeout_sec=_AGES, teardown_timeout_sec=_AGES)


def _alone(manifest: PluginManifest) -> PluginManifest:
    """The manifest as an isolated plugin's process gets it."""
    there = attrs.evolve(manifest, runtime=("in_process",), depends_on=(), max_concurrency=None, call_timeout_sec=None)
    return attrs.evolve(there, startup_timeout_sec=_AGES, teardown_timeout_sec=_AGES)


def check_trust(source: Source, manifest: PluginManifest, rules: HostRules, *, anew: bool = False) -> None:
    """Refuse what the host does not trust, before anything else is asked and before any code of it runs.

    What the host hands over itself has no files to compare.

    Args:
        source: where it is.
        manifest: its manifest.
        rules: what the host says.
        anew: read its files again: they may have changed since somebody looked.

    Raises:
        PluginUntrusted: if it differs from the lock, or declares too much.
    """
    if rules.lock is not None and source.contents is not None:
        contents = copy.copy(source.contents) if anew else source.contents
        rules.lock.check(manifest, contents.readable_hash)
    if rules.capabilities is not None and (
        more := [one for one in manifest.capabilities if one not in rules.capabilities]
    ):
        raise PluginUntrusted(
            f"plugin {manifest.name!r} of kind {manifest.kind!r} declares capabilities that this host does not allow: "
            f"{', '.join(more)}; allowed are {', '.join(sorted(rules.capabilities)) or 'none'}",
            capabilities=more,
            kind=manifest.kind,
            plugin=manifest.name,
        )


def _check_versions(manifest: PluginManifest, compiled: CompiledKind) -> None:
    kind = compiled.kind
    major, _, rest = manifest.kind_api_version.partition(".")
    minor = int(rest.partition(".")[0] or 0)
    if int(major) != kind.major or minor > kind.minor:
        raise VersionIncompatible(
            f"plugin {manifest.name!r} was made for kind_api_version {manifest.kind_api_version!r} "
            f"of kind {kind.name!r}, but {kind.version} is registered; the major must be the same, the minor not above",
            wanted=manifest.kind_api_version,
            found=kind.version,
            kind=kind.name,
            plugin=manifest.name,
        )
    if not _wants_this(manifest.core_version):
        raise VersionIncompatible(
            f"plugin {manifest.name!r} wants core_version {manifest.core_version!r}, but dagstack-plugins is {VERSION}"
            "; install a version of either that fits the other",
            wanted=manifest.core_version,
            found=VERSION,
            kind=kind.name,
            plugin=manifest.name,
        )


@functools.lru_cache(maxsize=1024)
def _wants_this(core_version: str) -> bool:
    """Whether specifiers, which most plugins share, admit this package's version."""
    return SpecifierSet(core_version).contains(VERSION, prereleases=True)


def _runtime(source: Source, manifest: PluginManifest, compiled: CompiledKind, rules: HostRules) -> str:
    wanted = rules.runtime_for.get(manifest.key)
    order = [wanted] if wanted else list(rules.runtimes)
    hindrances = {runtime: _hindrance(runtime, source, manifest, compiled) for runtime in order}
    possible = [runtime for runtime in order if hindrances[runtime] is None]
    chosen = next((runtime for runtime in possible if runtime in manifest.runtime), None)
    if chosen is None:
        why = dict.fromkeys(told for runtime, told in hindrances.items() if told and runtime in manifest.runtime)
        raise RuntimeNotSupported(
            f"plugin {manifest.name!r} of kind {manifest.kind!r} runs as {', '.join(manifest.runtime)}, but this host "
            f"runs {', '.join(possible) or 'nothing'}{' of this kind' if why else ''}"
            + "".join(f"; {one}" for one in why),
            allowed=manifest.runtime,
            available=possible,
            kind=manifest.kind,
            plugin=manifest.name,
        )
    if chosen != "in_process":
        return chosen
    if manifest.execution_model == "process_cpu_bound" and (reason := _no_processes(compiled)):
        raise RuntimeNotSupported(
            f"plugin {manifest.name!r} of kind {manifest.kind!r} says execution_model = 'process_cpu_bound', {reason}",
            allowed=(manifest.execution_model,),
            kind=manifest.kind,
            plugin=manifest.name,
        )
    return chosen


def _hindrance(runtime: str, source: Source, manifest: PluginManifest, compiled: CompiledKind) -> str | None:
    """Why a plugin can't run so, wherever it says that it can; ``None`` if it can."""
    if runtime == "in_process":
        return "there is a manifest, and no code" if isinstance(source, ManifestSource) else None
    kind = compiled.kind
    if kind.in_process_only:
        return "plugins of this kind run in process, as its hookspec says (in_process_only)"
    hidden = [hook.name for hook in kind.hooks.values() if hook.required and not hook.mcp_exposed]
    if hidden:
        return f"its kind requires {', '.join(hidden)}, which other processes can't offer (mcp_exposed: false)"
    if not any(hook.mcp_exposed for hook in kind.hooks.values()):
        return "its kind has no hook that other processes can offer (mcp_exposed: false)"
    if source.place is None:
        return "what the host registers itself runs in process"
    if manifest.unit_of_work.checkpointable and is_isolated(runtime, manifest):
        return "its checkpoints don't reach its host from there; execution_model = 'process_cpu_bound' isolates it too"
    return lacking(runtime)


def _no_processes(compiled: CompiledKind) -> str | None:
    if os.name != "posix":
        return "which needs POSIX (Linux, macOS); 'thread_cpu_bound' runs everywhere"
    if not sys.executable or getattr(sys, "frozen", False):
        return "but this program has no Python interpreter of its own to start"
    if compiled.kind.name == MIDDLEWARE:
        return "but middleware goes round calls in the host's process; 'thread_cpu_bound' keeps it off the event loop"
    return None


def _check_config_schema(manifest: PluginManifest, schema: Any, told: str, path: str = "config_schema") -> None:
    fault = _schema_fault(schema, path) if schema is not None else None
    if fault is not None:
        raise ManifestInvalid(
            f"{told} is not valid:",
            file=str(manifest.file) if manifest.file else None,
            faults=[fault],
            kind=manifest.kind,
            plugin=manifest.name,
        )


def _schema_fault(schema: Any, path: str) -> Fault | None:
    if not isinstance(schema, Mapping):
        return Fault(path, f"not a JSON Schema: expected an object, found {shown(schema)}")
    try:
        # Compiling checks it against the 2020-12 metaschema too; jsonschema_rs.meta would fetch what $schema names.
        config_validator(schema)
    except jsonschema_rs.ValidationError as error:
        return Fault(dotted(error.instance_path, path), f"not a JSON Schema: {schema_sentence(error)}")
    except (TypeError, ValueError) as error:
        return Fault(path, f"not a JSON Schema: {error}")
    return None


def config_validator(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator of a plugin's configuration, which fetches nothing."""
    return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, retriever=_nothing)


def _nothing(uri: str) -> Any:
    raise ValueError(f"{uri} is outside the schema; write it in")
