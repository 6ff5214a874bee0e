"""How the runtimes reach a plugin: what its manifest says, as a link."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import attrs

from dagstack_plugins.context import PluginContext
from dagstack_plugins.errors import PluginLoadError, PluginUnavailable
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.manifest import McpStdio, PluginManifest
from dagstack_plugins.parcels import packed
from dagstack_plugins.runtimes.mcp.failures import Lost
from dagstack_plugins.runtimes.mcp.link import McpLink, configuration
from dagstack_plugins.runtimes.mcp.supervisor import Connection, Policy
from dagstack_plugins.wording import raised

_BOOT: Final = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from dagstack_plugins.serving.isolated import main
main(sys.argv[2])
"""
"""The program of an isolated plugin's process; its arguments are the host's path, and the recipe."""
_LONGEST: Final = 100_000
"""Characters of an argument; Linux takes 131,072."""


def is_isolated(runtime: str, manifest: PluginManifest) -> bool:
    """Whether a plugin's own code runs in a process that the host starts for it.

    Args:
        runtime: where it runs.
        manifest: the plugin's.
    """
    return runtime == "mcp_stdio" and (manifest.mcp_stdio is None or not manifest.mcp_stdio.command)


def link_of(
    runtime: str,
    manifest: PluginManifest,
    compiled: CompiledKind,
    recipe: bytes | None,
    check: Callable[[], None],
) -> McpLink:
    """The link to a plugin.

    Args:
        runtime: ``mcp_stdio`` or ``mcp_http``.
        manifest: the plugin's.
        compiled: its kind.
        recipe: how its code is loaded, if it is isolated.
        check: raises if the host does not trust its files any more.
    """
    if runtime == "mcp_http":
        return _http_link(manifest, compiled)
    how = manifest.mcp_stdio or McpStdio()
    if recipe is None:
        return _stdio_link(manifest, compiled, how, check)
    argument = base64.b64encode(recipe).decode()
    if len(argument) > _LONGEST:
        raise PluginLoadError(
            f"{manifest.file}: manifest and kind take {len(argument)} characters, too many to start a process with; "
            "declare the kind in a file",
            kind=manifest.kind,
            plugin=manifest.name,
        )
    path = json.dumps([os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)])  # noqa: PTH100
    # -P: the working directory is no place to import from, unless the host's own path says so.
    # Its code finds the working directory that it would find in this process.
    folder = how.working_dir or str(Path.cwd())
    how = attrs.evolve(how, command=(sys.executable, "-P", "-c", _BOOT, path, argument), working_dir=folder)

    def given(context: PluginContext) -> dict[str, Any]:
        return {"given": base64.b64encode(_given(manifest, context)).decode()}

    return _stdio_link(
        manifest, compiled, how, check, given=given, farewell=manifest.teardown_timeout_sec, is_ours=True
    )


def _given(manifest: PluginManifest, context: PluginContext) -> bytes:
    """What an isolated plugin is set up with."""
    try:
        config = packed(context.config)
    except Exception as error:
        raise Lost(f"its configuration can't go to another process: {raised(error)}; give it plain values") from error
    label = f"{manifest.kind}/{manifest.name}"
    try:
        resources = context.registry.resource_registry.pack(manifest, context.resources, label)
    except PluginUnavailable as error:
        raise Lost(str(error)) from error
    return packed({"config": config, "resources": resources, "level": context.logger.getEffectiveLevel()})


def _stdio_link(
    manifest: PluginManifest,
    compiled: CompiledKind,
    how: McpStdio,
    check: Callable[[], None],
    *,
    farewell: float = 2.0,
    given: Callable[[PluginContext], dict[str, Any]] = configuration,
    is_ours: bool = False,
) -> McpLink:
    folder = manifest.folder or Path.cwd()
    patience, field = manifest.startup_timeout_sec, "startup_timeout_sec"
    if how.startup_timeout_sec is not None:
        patience, field = how.startup_timeout_sec, "mcp_stdio.startup_timeout_sec"
    seconds = manifest.call_timeout_sec

    def policy(context: PluginContext) -> Policy:
        from dagstack_plugins.runtimes.mcp.stdio import connected

        def connect() -> AbstractAsyncContextManager[Connection]:
            return connected(how, folder, context.logger, check, farewell=farewell, is_ours=is_ours)

        return Policy(connect, patience, field, restarts=how.max_restarts, backoff=how.backoff_sec, waits=False)

    limit = None if seconds is None else (seconds, "call_timeout_sec")
    return McpLink(manifest, compiled, policy, limit, patience, given)


def _http_link(manifest: PluginManifest, compiled: CompiledKind) -> McpLink:
    how = manifest.mcp_http
    assert how is not None
    folder = manifest.folder or Path.cwd()
    limit = how.timeout_sec, "mcp_http.timeout_sec"
    if manifest.call_timeout_sec is not None and manifest.call_timeout_sec <= how.timeout_sec:
        limit = manifest.call_timeout_sec, "call_timeout_sec"

    def policy(context: PluginContext) -> Policy:
        from dagstack_plugins.runtimes.mcp.http import connected

        said: set[str] = set()

        def tell(doubt: str) -> None:
            if doubt not in said:  # once for all attempts
                said.add(doubt)
                context.logger.warning("%s", doubt)

        def connect() -> AbstractAsyncContextManager[Connection]:
            return connected(how, folder, tell)

        patience, field = manifest.startup_timeout_sec, "startup_timeout_sec"
        # A service comes and goes without its host: it is looked for until it is there.
        return Policy(connect, patience, field, restarts=None, backoff=how.backoff_sec, waits=True)

    return McpLink(manifest, compiled, policy, limit, manifest.startup_timeout_sec, configuration)
