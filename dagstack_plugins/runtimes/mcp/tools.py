"""The tools that a plugin's server offers: what they are called, and which hooks they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dagstack_plugins.kinds.model import Hook, Kind
from dagstack_plugins.manifest import PluginManifest

SETUP: Final = "setup"
"""In place of a hook's name: a tool that is called once, before all others, with ``config``."""
TEARDOWN: Final = "teardown"
"""In place of a hook's name: a tool that is called once, after all others."""


def exposed(kind: Kind) -> Iterator[Hook]:
    """The hooks that plugins in other processes offer."""
    return (hook for hook in kind.hooks.values() if hook.mcp_exposed)


def tool_name(hook: Hook, manifest: PluginManifest) -> str:
    """The name of a hook's tool."""
    return _named(hook.mcp_tool_name_template, manifest, hook.name)


def own_name(word: str, kind: Kind, manifest: PluginManifest) -> str:
    """The name of a tool that is no hook's.

    Args:
        word: ``SETUP`` or ``TEARDOWN``.
        kind: the plugin's kind.
        manifest: the plugin's.
    """
    return _named(next(exposed(kind)).mcp_tool_name_template, manifest, word)


def _named(template: str, manifest: PluginManifest, hook: str) -> str:
    return template.format(kind=manifest.kind, plugin=manifest.name, hook=hook)
