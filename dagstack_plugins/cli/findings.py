"""All that is wrong with plugins and kinds, each with its place."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from dagstack_plugins.cli.dependencies import settled
from dagstack_plugins.cli.finding import Found, plugins_of
from dagstack_plugins.cli.telling import with_hint
from dagstack_plugins.dispatch.capability import fallback_of
from dagstack_plugins.dispatch.selection import ambiguous, tied_at_top
from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.dispatch.table import in_order
from dagstack_plugins.errors import (
    AmbiguousPlugin,
    Fault,
    KindUnknown,
    PluginLoadError,
    PluginRegistryError,
    PluginUnavailable,
    PluginUntrusted,
    RuntimeNotSupported,
    VersionIncompatible,
)
from dagstack_plugins.kinds.builtin import MIDDLEWARE
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.manifest_text import Source, Unreadable, decoded
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.wording import dotted, nearest

_ABOVE: Final = {"pyproject.toml": ("tool", "dagstack")}


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        file: the file or folder that it is in.
        path: the place in that document, dotted; empty for the whole, and in code.
        line: 1-based line in the file, where known.
        message: what was found and what to do.
        error: the name of the error that a host meets.
        kind: the kind concerned, if one is.
        plugin: the plugin concerned, if one is.
    """

    file: str
    path: str = ""
    line: int | None = None
    message: str
    error: str
    kind: str | None = None
    plugin: str | None = None

    @property
    def sort_key(self) -> tuple[str, int, str, str]:
        """Sorts findings by file, then from its top downwards; what is missing there comes last."""
        line = self.line if self.line is not None else sys.maxsize if self.path else 0
        return self.file, line, self.path, self.message


def findings(found: Found) -> list[Finding]:
    """All that is wrong with what was found, sorted by place."""
    plugins = plugins_of(found.registry)
    # A plugin whose kind's hookspec is faulty is not at fault for that.
    faulty = {Path(file).parent.name for error in found.faulty if (file := getattr(error, "file", None))}
    blamed = [plugin for plugin in plugins if not (isinstance(plugin.error, KindUnknown) and plugin.kind in faulty)]
    wrong = [
        *(finding for error in found.faulty for finding in of_error(error)),
        *(finding for plugin in blamed for finding in _of_refused(plugin)),
        *_of_dependencies(plugins),
        *_of_choices(found.registry, {str(plugin.kind) for plugin in plugins if not plugin.refused}),
    ]
    return sorted(wrong, key=lambda finding: finding.sort_key)


def warnings(found: Found) -> list[Finding]:
    """What is no fault, and yet was likely meant otherwise."""
    return [
        Finding(file=plugin.location, message=warning, error="", kind=plugin.kind, plugin=plugin.name)
        for plugin in plugins_of(found.registry)
        for warning in (*plugin.warnings, *_of_wraps(plugin, found.registry))
    ]


def _of_wraps(plugin: Plugin, registry: PluginRegistry) -> Iterator[str]:
    """Kinds and hooks that a middleware wants to wrap, and that no kind here has."""
    if plugin.manifest is None or plugin.refused or plugin.kind != MIDDLEWARE:
        return
    kinds = registry.kinds()
    hooks = {hook for kind in kinds for slot in registry.slots(kind) for hook in slot.compiled.kind.hooks}
    wrap = plugin.manifest.chain_wrap
    for word, named, known in (("kind", wrap.kinds, kinds), ("hook", wrap.hooks, hooks)):
        for name in named:
            if name != "*" and name not in known:
                yield f"chain_wrap names the {word} {name!r}, which nothing here has{nearest(name, known)}"


def of_error(error: PluginRegistryError, place: str = "") -> Iterator[Finding]:
    """A finding for each fault of a manifest or hookspec; one for any other error.

    Args:
        error: what a host meets.
        place: the file or folder that it is in, where the error doesn't know.
    """
    file = getattr(error, "file", None) or place
    for fault in getattr(error, "faults", ()) or [Fault("", str(error))]:
        yield _finding(error, file, fault.path, fault.line, fault.message)


def _finding(error: PluginRegistryError, file: str, path: str, line: int | None, message: str) -> Finding:
    return Finding(
        file=file,
        path=path,
        line=line,
        message=message.removeprefix(f"{file}: "),
        error=type(error).__name__,
        kind=error.kind,
        plugin=error.plugin,
    )


def _of_refused(plugin: Plugin) -> Iterator[Finding]:
    error = plugin.error
    if not isinstance(error, PluginRegistryError):
        return
    if field := _field(error, plugin.manifest):
        yield from _in_manifest_of(plugin, error, field)
    elif isinstance(error, PluginLoadError):
        file, line = _in_code(error, plugin.location)
        yield _finding(error, file, "", line, str(error))
    else:
        yield from of_error(error, plugin.location)


def _field(error: PluginRegistryError, manifest: PluginManifest | None) -> str | None:
    """The manifest's field that an error is about."""
    if manifest is None:
        return None
    if isinstance(error, KindUnknown):
        return "kind"
    if isinstance(error, AmbiguousPlugin):
        return "name"
    if isinstance(error, VersionIncompatible):
        return "core_version" if error.wanted == manifest.core_version else "kind_api_version"
    if isinstance(error, PluginUntrusted) and error.capabilities:
        return "capabilities"
    if isinstance(error, RuntimeNotSupported):
        return "execution_model" if error.allowed == (manifest.execution_model,) else "runtime"
    return None


def _in_manifest_of(plugin: Plugin, error: PluginRegistryError, *field: str | int) -> Iterator[Finding]:
    """One finding, if the plugin has a manifest."""
    if plugin.manifest is None:
        return
    path = ("plugin", *field)
    file = plugin.manifest.file
    yield _finding(error, str(file or plugin.location), dotted(path, ""), _line(file, path), with_hint(error))


def _line(file: Path | None, path: Sequence[str | int]) -> int | None:
    if file is None:
        return None
    try:
        text = decoded(file.read_bytes())
        return Source(file, text, "JSON" if file.suffix == ".json" else "TOML", _ABOVE.get(file.name, ())).line(path)
    except (OSError, Unreadable):  # changed since it was read
        return None


def _in_code(error: PluginLoadError, folder: str) -> tuple[str, int | None]:
    """The file and line of a plugin that made its import fail."""
    cause = error.__cause__
    if isinstance(cause, SyntaxError) and cause.filename:
        return cause.filename, cause.lineno
    frames = traceback.extract_tb(cause.__traceback__) if cause is not None else []
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return (own[-1].filename, own[-1].lineno) if own else (error.file or folder, None)


def _of_dependencies(plugins: Sequence[Plugin]) -> Iterator[Finding]:
    dependencies = settled(plugins)
    for one in dependencies.missing:
        error = PluginUnavailable(one.reason, kind=one.plugin.kind, plugin=one.plugin.name)
        yield from _in_manifest_of(one.plugin, error, "depends_on", one.place)
    by_label = {plugin.label: plugin for plugin in plugins}
    for cycle in dependencies.cycles():
        yield from _in_manifest_of(by_label[cycle.cycle[0]], cycle, "depends_on")


def _of_choices(registry: PluginRegistry, kinds: set[str]) -> Iterator[Finding]:
    """What nothing decides: who is active, who the fallback is."""
    for kind in sorted(kinds):
        for slot in registry.slots(kind):
            yield from _of_choice(slot)


def _of_choice(slot: Slot) -> Iterator[Finding]:
    plugins = in_order(plugin for plugin in slot.plugins if not plugin.refused)
    hooks = slot.compiled.kind.hooks.values()
    one_is_active = any(hook.dispatch is Dispatch.SINGLETON and not hook.named for hook in hooks)
    if one_is_active and (tied := tied_at_top(plugins)):
        yield from _in_manifest_of(tied[0], ambiguous(slot.table(), tied), "priority")
    if any(hook.dispatch is Dispatch.CAPABILITY for hook in hooks):
        try:
            fallback_of(slot.table(), plugins)
        except AmbiguousPlugin as error:
            second = next(plugin for plugin in plugins if plugin.name == error.candidates[1])
            yield from _in_manifest_of(second, error, "fallback")
