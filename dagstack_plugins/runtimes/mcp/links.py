"""How the runtimes reach a plugin: what its manifest says, as a link."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from dagstack_plugins.context import PluginContext
from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.runtimes.mcp.link import Link
from dagstack_plugins.runtimes.mcp.supervisor import Line, Policy


def link_of(runtime: str, manifest: PluginManifest, compiled: CompiledKind) -> Link:
    """The link to a plugin.

    Args:
        runtime: ``mcp_stdio`` or ``mcp_http``.
        manifest: the plugin's.
        compiled: its kind.
    """
    return (_stdio_link if runtime == "mcp_stdio" else _http_link)(manifest, compiled)


def _stdio_link(manifest: PluginManifest, compiled: CompiledKind) -> Link:
    how = manifest.mcp_stdio
    assert how is not None
    folder = manifest.folder or Path.cwd()
    patience, field = manifest.startup_timeout_sec, "startup_timeout_sec"
    if how.startup_timeout_sec is not None:
        patience, field = how.startup_timeout_sec, "mcp_stdio.startup_timeout_sec"
    seconds = manifest.call_timeout_sec

    def policy(context: PluginContext) -> Policy:
        from dagstack_plugins.runtimes.mcp.stdio import connected

        def connect() -> AbstractAsyncContextManager[Line]:
            return connected(how, folder, context.logger)

        return Policy(connect, patience, field, restarts=how.max_restarts, backoff=how.backoff_sec, waits=False)

    return Link(manifest, compiled, policy, None if seconds is None else (seconds, "call_timeout_sec"), patience)


def _http_link(manifest: PluginManifest, compiled: CompiledKind) -> Link:
    how = manifest.mcp_http
    assert how is not None
    folder = manifest.folder or Path.cwd()
    limit = how.timeout_sec, "mcp_http.timeout_sec"
    if manifest.call_timeout_sec is not None and manifest.call_timeout_sec <= how.timeout_sec:
        limit = manifest.call_timeout_sec, "call_timeout_sec"

    def policy(context: PluginContext) -> Policy:
        from dagstack_plugins.runtimes.mcp.http import connected

        def connect() -> AbstractAsyncContextManager[Line]:
            return connected(how, folder, context.logger)

        patience, field = manifest.startup_timeout_sec, "startup_timeout_sec"
        # A service comes and goes without its host: it is looked for until it is there.
        return Policy(connect, patience, field, restarts=None, backoff=how.backoff_sec, waits=True)

    return Link(manifest, compiled, policy, limit, manifest.startup_timeout_sec)
