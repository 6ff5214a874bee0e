"""What can go wrong, one class each; every error carries what it knows as attributes.

The message says what was found, where, and what to do about it; the attributes say the same to programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen
class Fault:
    """One thing that is wrong in a document.

    Attributes:
        path: where in the document, dotted (``plugin.resources.required[1]``); empty for the document itself.
        message: what was found and what is expected.
        line: 1-based line in the file, where known.
    """

    path: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class PluginRegistryError(Exception):
    """Root of all errors of this package.

    Args:
        message: what was found, where, and what to do.
        kind: the kind concerned, if one is.
        plugin: the name of the plugin concerned, if one is.
        hook: the hook concerned, if one is.
    """

    def __init__(
        self,
        message: str = "",
        *,
        kind: str | None = None,
        plugin: str | None = None,
        hook: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.plugin = plugin
        self.hook = hook


class _Faulty(PluginRegistryError):
    """A document with faults: all of them are told together.

    Args:
        message: a headline; without ``faults`` the whole story.
        file: the document's path, ``None`` for one given as an object.
        faults: everything that was found wrong.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        faults: Sequence[Fault] = (),
        kind: str | None = None,
        plugin: str | None = None,
    ) -> None:
        told = "".join(f"\n  - {fault}" for fault in faults)
        super().__init__(message + told, kind=kind, plugin=plugin)
        self.file = file
        self.faults = tuple(faults)


class ManifestInvalid(_Faulty):
    """A manifest that cannot be read, or breaks the manifest's schema; ``.file``, ``.faults``.

    Mend the lines that it names; ``dagstack-plugins check`` tells the faults of all plugins at once.
    """


class HookspecInvalid(_Faulty):
    """A hookspec that cannot be read, or declares something impossible; ``.file``, ``.faults``.

    Mend the lines that it names; ``dagstack-plugins check`` tells the faults of all kinds at once.
    """


class LockInvalid(_Faulty):
    """A lock file that cannot be read, or breaks its schema; ``.file``, ``.faults``.

    ``dagstack-plugins lock`` writes the file anew; look at what changed before you commit it.
    """


class KindUnknown(PluginRegistryError):
    """Nothing is known of a kind: no hookspec, or no plugin where a call needs one.

    ``registry.add_hookspecs(…)`` makes a kind known, ``registry.discover(…)`` finds plugins; the message says where it
    looked, and which plugins wait for the kind or were refused.
    """


class AmbiguousPlugin(PluginRegistryError):
    """Several plugins fit where one is meant.

    Give one a higher ``priority``, choose by ``registry.set_active`` or ``DAGSTACK_ACTIVE_<KIND>``, or rename one of
    two that have one name.

    Args:
        candidates: the names of the plugins that fit.
        places: where they come from, where known.
    """

    def __init__(
        self, message: str, *, candidates: Sequence[str] = (), places: Sequence[str] = (), **known: str | None
    ) -> None:
        super().__init__(message, **known)
        self.candidates = tuple(candidates)
        self.places = tuple(places)


class VersionIncompatible(PluginRegistryError):
    """A plugin was made for another version of its kind, or of this package.

    Install a version of the plugin, the host's kind or this package that fits the other; or widen
    ``core_version`` or ``kind_api_version`` in the manifest, if the plugin works with both.

    Args:
        wanted: what the plugin's manifest asks for.
        found: what is here.
    """

    def __init__(
        self, message: str, *, wanted: str | None = None, found: str | None = None, **known: str | None
    ) -> None:
        super().__init__(message, **known)
        self.wanted = wanted
        self.found = found


class RuntimeNotSupported(PluginRegistryError):
    """A plugin can run only where this host cannot run it.

    Name a runtime of the host's in the manifest, or give the host one of the manifest's.

    Args:
        allowed: the runtimes that the manifest allows.
        available: the runtimes that the host has.
    """

    def __init__(
        self, message: str, *, allowed: Sequence[str] = (), available: Sequence[str] = (), **known: str | None
    ) -> None:
        super().__init__(message, **known)
        self.allowed = tuple(allowed)
        self.available = tuple(available)


class PluginUntrusted(PluginRegistryError):
    """A plugin is not what the host decided to trust: its files differ from the lock, or it declares too much.

    Look at what the plugin is now; then lock it anew, or allow its capabilities, or take it away.

    Args:
        wanted: the content hash that is locked, if one is.
        found: the content hash of its files, if they can be read.
        capabilities: those that it declares and the host does not allow.
    """

    def __init__(
        self,
        message: str,
        *,
        wanted: str | None = None,
        found: str | None = None,
        capabilities: Sequence[str] = (),
        **known: str | None,
    ) -> None:
        super().__init__(message, **known)
        self.wanted = wanted
        self.found = found
        self.capabilities = tuple(capabilities)


class PluginLoadError(PluginRegistryError):
    """A plugin's code cannot be loaded, or does not fit its kind.

    Mend the plugin's code where the message points; the error of that code is the cause.

    Args:
        file: the file or module concerned.
    """

    def __init__(self, message: str, *, file: str | None = None, **known: str | None) -> None:
        super().__init__(message, **known)
        self.file = file


class DependencyCycle(PluginRegistryError):
    """Plugins depend on each other in a circle.

    Drop one of the ``depends_on`` that it shows.

    Args:
        cycle: the circle as ``kind/name``, the first repeated at the end.
    """

    def __init__(self, message: str, *, cycle: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.cycle = tuple(cycle)


class PayloadInvalid(PluginRegistryError):
    """What goes into a hook, or comes out of it, breaks the hook's schema.

    An input is the caller's to mend, an output the plugin's author's; or the kind's schema says too little.

    Args:
        side: ``"input"`` or ``"output"``.
        path: JSON path of the first fault (``$.source``).
        faults: every fault.
    """

    def __init__(
        self,
        message: str,
        *,
        side: str | None = None,
        path: str | None = None,
        faults: Sequence[Fault] = (),
        **known: str | None,
    ) -> None:
        super().__init__(message, **known)
        self.side = side
        self.path = path
        self.faults = tuple(faults)


class PluginUnavailable(PluginRegistryError):
    """No plugin can take the call.

    Each plugin's reason says what keeps it from being called; ``registry.status()`` says the same.

    Args:
        reasons: each plugin of the kind, with the reason why it cannot.
    """

    def __init__(self, message: str, *, reasons: dict[str, str] | None = None, **known: str | None) -> None:
        super().__init__(message, **known)
        self.reasons = dict(reasons or {})


class PluginError(PluginRegistryError):
    """A plugin in another process failed.

    Mend the plugin; type, message and traceback are those of the other process. One in this process gets it too
    that tried to end its host.

    Args:
        error_type: the name of the error's type over there.
        remote_traceback: its traceback, as text.
    """

    def __init__(
        self,
        message: str,
        *,
        error_type: str | None = None,
        remote_traceback: str | None = None,
        **known: str | None,
    ) -> None:
        super().__init__(message, **known)
        self.error_type = error_type
        self.remote_traceback = remote_traceback


class ResourceUndeclared(PluginRegistryError, AttributeError):
    """A plugin reads a resource that its manifest does not declare.

    Add the name to ``[plugin.resources]`` of the manifest; the message shows the lines.

    Args:
        resource: the name that was read.
    """

    def __init__(self, message: str, *, resource: str | None = None, **known: str | None) -> None:
        super().__init__(message, **known)
        self.resource = resource


class DispatchMismatch(PluginRegistryError):
    """A call in a form that the hook does not have.

    Call the hook as what it is, ``registry.kind(…).hook(…)``; on an event loop await it, ``proxy.aio.hook(…)``.
    """


class HookUnknown(DispatchMismatch, AttributeError):
    """A kind has no hook of that name; the message suggests the nearest.

    Write the name as the kind's hookspec does.
    """


class NoCapabilityMatch(PluginRegistryError):
    """No plugin fits a payload of a capability hook, and there is no fallback.

    Add a plugin that lists the value, or let one say ``fallback = true``.

    Args:
        looked_for: the payload's fields that routing reads, with their values.
    """

    def __init__(self, message: str, *, looked_for: dict[str, Any] | None = None, **known: str | None) -> None:
        super().__init__(message, **known)
        self.looked_for = dict(looked_for or {})


class BroadcastErrors(PluginRegistryError):
    """A plugin failed in a ``fail_fast`` broadcast.

    Mend the plugin; or say ``error_policy: best_effort`` in the hookspec, and keep the others' answers.

    Args:
        errors: the failures, as (plugin, exception).
    """

    def __init__(self, message: str, *, errors: Sequence[tuple[str, BaseException]] = (), **known: str | None) -> None:
        super().__init__(message, **known)
        self.errors = tuple(errors)


class TeardownErrors(PluginRegistryError):
    """Plugins failed, or overran, while they were torn down; all of them were torn down all the same.

    Mend the ``teardown`` of those that it names, or give them more time: ``teardown_timeout_sec``.

    Args:
        errors: the failures, as (``kind/name``, exception).
    """

    def __init__(self, message: str, *, errors: Sequence[tuple[str, BaseException]] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class CheckpointConflict(PluginRegistryError):
    """A checkpoint was not saved, as another version than the one expected is there.

    Somebody else works on the same: load the state anew, or leave the work to them.

    Args:
        expected: the version that was expected.
        found: the one that is there; 0 for none.
    """

    def __init__(self, message: str, *, expected: int, found: int, **known: str | None) -> None:
        super().__init__(message, **known)
        self.expected = expected
        self.found = found


class UnitRefused(PluginRegistryError):
    """A unit of work that can't be queued: its plugin declares none, or nobody could run it.

    Mend what the message names: ``[plugin.unit_of_work]`` of the manifest, a name, or the arguments.
    """


class UnitUnknown(PluginRegistryError):
    """There is no unit of work of that id, or no longer: those that ended long ago are forgotten.

    Args:
        unit_id: the id that was asked for.
    """

    def __init__(self, message: str, *, unit_id: str | None = None, **known: str | None) -> None:
        super().__init__(message, **known)
        self.unit_id = unit_id


class UnitFailed(PluginRegistryError):
    """A unit of work ended without a result, which somebody waited for.

    Args:
        unit_id: the unit's id.
        state: how it ended: ``failed``, ``cancelled`` or ``expired``.
        error_type: the name of the last error's type, if it failed.
    """

    def __init__(
        self,
        message: str,
        *,
        unit_id: str | None = None,
        state: str | None = None,
        error_type: str | None = None,
        **known: str | None,
    ) -> None:
        super().__init__(message, **known)
        self.unit_id = unit_id
        self.state = state
        self.error_type = error_type


class UnitCancelled(PluginRegistryError):
    """Raised inside a unit of work, by ``ctx.checkpoint.save`` after it has saved: nobody wants the unit to go on now.

    Let it pass; what must be closed, close in ``finally``.

    Args:
        unit_id: the unit's id.
    """

    def __init__(self, message: str, *, unit_id: str | None = None, **known: str | None) -> None:
        super().__init__(message, **known)
        self.unit_id = unit_id
