"""A kind as pluggy sees it: one hook specification for each hook, all of the same form ``hook(payload, call)``."""

from __future__ import annotations

from typing import Any, Final

import pluggy

from dagstack_plugins.kinds.codec import HookCodec, Validate
from dagstack_plugins.kinds.model import Dispatch, Kind
from dagstack_plugins.kinds.payloads import PayloadTypes

PROJECT: Final = "dagstack_plugins"
hookspec: Final = pluggy.HookspecMarker(PROJECT)
hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a function ``(payload, call)`` of a native pluggy plugin as the implementation of the hook of its name."""

ONE_ANSWERS: Final = frozenset({Dispatch.SINGLETON, Dispatch.CAPABILITY})


def hookspecs_of(kind: Kind) -> type:
    """A class whose functions are the pluggy hook specifications of ``kind``.

    Each hook takes ``payload`` and ``call``. Those that one plugin answers are ``firstresult``.
    """
    body: dict[str, Any] = {"__doc__": kind.description}
    for hook in kind.hooks.values():
        body[hook.name] = _specification(hook.name, hook.description, firstresult=hook.dispatch in ONE_ANSWERS)
    return type(f"{kind.name}_v{kind.major}", (), body)


def _specification(name: str, description: str, *, firstresult: bool) -> Any:
    def specification(payload: Any, call: Any) -> Any: ...

    specification.__name__ = specification.__qualname__ = name
    specification.__doc__ = description
    return staticmethod(hookspec(firstresult=firstresult)(specification))


class CompiledKind:
    """A kind, ready to be called.

    Args:
        kind: its declaration.
        validate: what is checked of each call.

    Attributes:
        kind: the declaration.
        types: the payload classes.
        codecs: the border of each hook, by the hook's name.
        specification: the pluggy hook specifications.
    """

    def __init__(self, kind: Kind, validate: Validate) -> None:
        self.kind = kind
        self.types = PayloadTypes.of(kind)
        self.codecs = {hook.name: HookCodec(kind, hook, self.types, validate) for hook in kind.hooks.values()}
        self.specification = hookspecs_of(kind)
