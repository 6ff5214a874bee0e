"""What makes two units the same one: hashes over what goes in, and over what runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.plugin import Plugin


def canonical(value: Any) -> str:
    """JSON text that is the same for equal values: keys sorted, no blanks.

    Examples:
        >>> canonical({"b": 1, "a": [True, None]})
        '{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def code_of(plugin: Plugin) -> str:
    """What a plugin's code is, as far as checkpoints are concerned: its version, else the hash of its files."""
    version = plugin.manifest.version if plugin.manifest is not None else None
    return version or _content(plugin)


def input_key(plugin: Plugin, hook: str, args: Mapping[str, Any]) -> str:
    """The key of a unit whose input says what comes out: of plugin, version, files, and the fields that count.

    Args:
        plugin: the plugin.
        hook: the hook that is called.
        args: the payload, as JSON.
    """
    manifest = plugin.manifest
    assert manifest is not None
    fields = manifest.unit_of_work.content_hash
    counted = {name: args[name] for name in fields if name in args} if fields else dict(args)
    known = [plugin.kind, plugin.name, hook, manifest.version, _content(plugin), counted]
    return f"input:{digest(canonical(known))}"


def partition_of(manifest: PluginManifest, args: Mapping[str, Any]) -> str | None:
    """The partition that the payload names; ``None`` where the manifest names no field, or it is missing."""
    field = manifest.unit_of_work.partition_key
    if field is None or args.get(field) in (None, ""):
        return None
    value = args[field]
    return value if isinstance(value, str) else canonical(value)


def _content(plugin: Plugin) -> str:
    return (plugin.contents.readable_hash if plugin.contents is not None else None) or ""
