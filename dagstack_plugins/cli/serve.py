"""``dagstack-plugins serve`` and ``serve-host``: plugins, offered to others as the tools of an MCP server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from dagstack_plugins.addresses import is_loopback
from dagstack_plugins.cli.configuration import config_option, read_config
from dagstack_plugins.cli.finding import Found, complain_of_none, find
from dagstack_plugins.cli.logs import log_to_stderr
from dagstack_plugins.cli.options import FOLDER, examples, hookspecs_option, installed_option
from dagstack_plugins.cli.output import complain, own_stdout, told_path
from dagstack_plugins.cli.signals import terminable
from dagstack_plugins.context import PluginContext
from dagstack_plugins.manifest import load_manifest
from dagstack_plugins.plugin import PluginState
from dagstack_plugins.runtimes.background import BackgroundLoop

if TYPE_CHECKING:
    from dagstack_plugins.serving.server import HostServer

_SHORTEST: Final = 16
"""Characters of a token."""


def _served(command: Callable[..., int]) -> Callable[..., int]:
    """The options of both commands."""
    options = (
        click.option("--stdio", is_flag=True, help="Over the standard streams; this is the default."),
        click.option("--http", metavar="HOST:PORT", help="Over HTTP, at /mcp; port 0 takes one that is free."),
        click.option(
            "--token-env",
            metavar="NAME",
            help="The environment variable that holds the token which clients must send as a bearer token.",
        ),
        click.option(
            "--tool-names",
            type=click.Choice(["dots", "underscores"]),
            default="dots",
            help="As the kinds say, or with underscores alone, as model APIs want it.",
        ),
        hookspecs_option,
        config_option,
        click.option("--verbose", is_flag=True, help="Show what plugins log for information."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    epilog=examples(
        "dagstack-plugins serve plugins/my_tool",
        "dagstack-plugins serve plugins/my_tool --http 127.0.0.1:8000 --config host.toml",
    )
)
@click.argument("folder", type=FOLDER)
@_served
def serve(
    folder: Path, hookspecs: tuple[Path, ...], config: Path | None, verbose: bool, tool_names: str, **where: Any
) -> int:
    """Serve the plugin in a FOLDER as an MCP server: each of its hooks is a tool."""
    context = PluginContext(read_config(config))
    log_to_stderr(verbose=verbose)
    place = _Where.of(**where)
    manifest = load_manifest(folder)
    found = find([folder], hookspecs, verbose=verbose, runtimes=["in_process"])
    return _serve(found, context, place, tool_names, only=manifest.key)


@click.command(
    "serve-host",
    epilog=examples(
        "dagstack-plugins serve-host plugins/ --tool-names underscores",
        "dagstack-plugins serve-host plugins/ --http 0.0.0.0:8000 --token-env HOST_TOKEN",
    ),
)
@click.argument("plugins", nargs=-1, type=FOLDER)
@installed_option
@_served
def serve_host(
    plugins: tuple[Path, ...],
    installed: bool,
    hookspecs: tuple[Path, ...],
    config: Path | None,
    verbose: bool,
    tool_names: str,
    **where: Any,
) -> int:
    """Serve all plugins below folders (default: here) as one MCP server.

    Each exposed hook of each plugin that is ready is a tool; the list follows plugins that come and go.
    """
    context = PluginContext(read_config(config))
    log_to_stderr(verbose=verbose)
    place = _Where.of(**where)
    folders = plugins or (() if installed else (Path(),))
    found = find(folders, hookspecs, installed=installed, verbose=verbose)
    if not found.registry.list_manifests():
        complain_of_none(folders, installed=installed)
    return _serve(found, context, place, tool_names)


@attrs.frozen
class _Where:
    """Where it is served.

    Attributes:
        host: the address; ``None`` for the standard streams.
        port: the port.
        token: what clients must know.
    """

    host: str | None
    port: int
    token: str | None

    @classmethod
    def of(cls, *, stdio: bool, http: str | None, token_env: str | None) -> _Where:
        """What the options say.

        Raises:
            click.UsageError: if they don't go together.
        """
        if http is None:
            if token_env:
                raise click.UsageError("--token-env is for --http: who has the standard streams needs no token")
            return cls(None, 0, None)
        if stdio:
            raise click.UsageError("--stdio and --http exclude each other")
        host, _, number = str(http).rpartition(":")
        if not host or not number.isdigit() or int(number) > 65535:
            why = ": ports go up to 65535" if host and number.isdigit() else ", such as 127.0.0.1:8000"
            raise click.BadParameter(f"{http!r} is no HOST:PORT{why}", param_hint="--http")
        host = host.removeprefix("[").removesuffix("]")
        token = _token(token_env)
        if token is None and not is_loopback(host):
            raise click.UsageError(
                f"{host} is reached from other machines: say --token-env NAME, the variable that holds a token, or "
                "serve on 127.0.0.1"
            )
        return cls(host, int(number), token)


def _token(name: str | None) -> str | None:
    if name is None:
        return None
    token = os.environ.get(name, "").strip()
    if not token:
        raise click.BadParameter(f"the environment variable {name} is not set, or empty", param_hint="--token-env")
    if len(token) < _SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
        raise click.BadParameter(
            f"a token has {_SHORTEST} or more letters, digits and signs, and no blanks; that in {name} is none",
            param_hint="--token-env",
        )
    return token


def _serve(
    found: Found, context: PluginContext, where: _Where, naming: str, only: tuple[str, str] | None = None
) -> int:
    found.complain()
    try:
        from dagstack_plugins.serving.offers import Offers
        from dagstack_plugins.serving.server import HostServer
    except ModuleNotFoundError as error:
        raise click.UsageError(f"it needs {error.name}: pip install 'dagstack-plugins[mcp]'") from None
    registry = found.registry
    if only is not None and all((one.kind, one.name) != only for one in registry.list_manifests()):
        for status in registry.unavailable_plugins():
            complain(status.reason)
        return 1
    for status in registry.unavailable_plugins():
        if status.state is PluginState.UNAVAILABLE:
            complain(f"left out: {told_path(status.location)}, as {status.reason}", "warning")
    # Over the network, nobody needs to know where files are.
    offers = Offers(registry, naming, only, traces=where.host is None)
    offers.all()  # before anything starts: names may clash
    with terminable(), registry.running(context):
        if only is not None and not offers.now():
            (plugin,) = [one for one in registry.status() if (one.kind, one.name) == only]
            complain(
                f"plugin {only[1]!r} of kind {only[0]!r} has nothing to serve: "
                + (plugin.reason or "its kind exposes none of its hooks (mcp_exposed: false)")
            )
            return 1
        _run(HostServer(offers), where)
    return 0


def _run(server: HostServer, where: _Where) -> None:
    """Serve on a loop beside the plugins', until the client goes, or somebody interrupts."""
    with BackgroundLoop("dagstack-plugins-server") as background:
        over = asyncio.Event()
        serving: Coroutine[Any, Any, None]
        if where.host is None:
            if sys.stdin.isatty():
                complain("served over the standard streams: a client starts this command, and speaks MCP to it", "note")
            serving = server.over_stdio(own_stdout())
        else:
            serving = server.over_http(where.host, where.port, where.token, _told(where.host), over)
        running = asyncio.run_coroutine_threadsafe(serving, background.loop)
        try:
            running.result()
        except KeyboardInterrupt:
            background.loop.call_soon_threadsafe(over.set)
            if where.host is None:
                running.cancel()
            with suppress(concurrent.futures.CancelledError, TimeoutError):
                running.exception(timeout=5)
            raise
        except OSError as error:
            raise click.ClickException(f"{where.host}:{where.port} can't be bound: {error.strerror}") from None


def _told(host: str) -> Callable[[int], None]:
    def told(port: int) -> None:
        complain(f"served at http://{f'[{host}]' if ':' in host else host}:{port}/mcp", "note")

    return told
