"""``dagstack-plugins call``: start the plugins, call a hook, print what it answers."""

from __future__ import annotations

import sys
import traceback
from asyncio import CancelledError
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import click

from dagstack_plugins.cli.configuration import config_option, read_config
from dagstack_plugins.cli.finding import find
from dagstack_plugins.cli.logs import log_to_stderr, quiet_library
from dagstack_plugins.cli.options import FOLDER, examples, hookspecs_option, installed_option
from dagstack_plugins.cli.output import complain, write_json
from dagstack_plugins.cli.telling import told
from dagstack_plugins.context import PluginContext
from dagstack_plugins.dispatch.base import unknown_hook
from dagstack_plugins.dispatch.broadcast import Collected
from dagstack_plugins.errors import AmbiguousPlugin, PluginRegistryError
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.manifest_text import Unreadable, decoded, parsed
from dagstack_plugins.plugin import PluginState
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.wording import dotted, shown


@click.command(
    epilog=examples(
        'dagstack-plugins call tool execute --name echo --json \'{"msg": "hello"}\'',
        "dagstack-plugins call chunker chunk --plugins plugins/ --json - < text.json",
        "dagstack-plugins call index_metrics measure --config host.toml --verbose",
    )
)
@click.argument("kind")
@click.argument("hook")
@click.option("--name", metavar="NAME", help="Call this plugin. Default: the kind, by the hook's dispatch class.")
@click.option(
    "--json", "payload", metavar="JSON|-", default="{}", help="The payload, one object; - reads it from stdin."
)
@click.option(
    "--plugins",
    metavar="PATH",
    multiple=True,
    type=FOLDER,
    help="Where plugins are; may be repeated. Default: here.",
)
@installed_option
@hookspecs_option
@config_option
@click.option("--verbose", is_flag=True, help="Show tracebacks, and what plugins log for information.")
def call(
    kind: str,
    hook: str,
    name: str | None,
    payload: str,
    plugins: tuple[Path, ...],
    installed: bool,
    hookspecs: tuple[Path, ...],
    config: Path | None,
    verbose: bool,
) -> int:
    """Call the HOOK of a KIND and print the result as JSON.

    All plugins found are started before, and torn down after. What they print goes to standard error.
    """
    given = _payload(payload)
    context = PluginContext(read_config(config))
    log_to_stderr(verbose=verbose)
    folders = plugins or (() if installed else (Path(),))
    found = find(folders, hookspecs, installed=installed, verbose=verbose)
    found.complain()
    try:
        _call(found.registry, context, kind, hook, name, given, verbose=verbose)
    except click.exceptions.Exit:  # of ours: nobody reads the result
        raise
    except (Exception, CancelledError) as error:  # whatever a plugin raises
        if verbose:
            traceback.print_exception(error)
        complain(told(error) + _which_one(error, found.registry, kind, hook))
        return 1
    return 0


def _which_one(error: BaseException, registry: PluginRegistry, kind: str, hook: str) -> str:
    if not isinstance(error, AmbiguousPlugin) or error.kind != kind.partition("@")[0]:
        return ""
    if registry.slot(kind).compiled.kind.hooks[hook].dispatch is not Dispatch.SINGLETON:
        return ""
    return f"\non the command line, --name {error.candidates[0]} says which one is meant"


def _payload(given: str) -> dict[str, Any]:
    try:
        value = parsed(decoded(sys.stdin.buffer.read()) if given == "-" else given, "JSON")
    except Unreadable as error:
        raise click.BadParameter(f"the payload {error}", param_hint="--json") from None
    if not isinstance(value, dict):
        raise click.BadParameter(f"a payload is one JSON object, found {shown(value)}", param_hint="--json")
    return value


def _call(
    registry: PluginRegistry,
    context: PluginContext,
    kind: str,
    hook: str,
    name: str | None,
    payload: dict[str, Any],
    *,
    verbose: bool,
) -> None:
    proxy = registry.kind(kind) if name is None else registry.get_plugin(kind, name)
    slots = registry.slots(kind) if name is not None else []
    slot = next((one for one in slots if one.accepted(name or "") is not None), registry.slot(kind))
    if hook not in slot.compiled.kind.hooks:
        raise unknown_hook(slot.compiled.kind, hook)
    if name is not None and slot.accepted(name) is not None:
        registry.set_active(kind, name)  # so that nothing else needs to decide, and no other one runs in its place
    with ExitStack() as stack:
        with nullcontext() if verbose else quiet_library():
            stack.enter_context(registry.running(context))
        result = getattr(proxy.sync, hook)(payload)
        _print(result)
        if name is None:
            _tell_of_absent(registry, kind)


def _print(result: Any) -> None:
    try:
        write_json(to_json(result), sort=False)
    except NotJson as error:
        raise PluginRegistryError(f"the result has no form in JSON: {dotted(error.path)} {error}") from None
    if isinstance(result, Collected):
        for plugin, failure in result.errors:
            complain(f"plugin {plugin} failed: {type(failure).__name__}: {failure}", "warning")


def _tell_of_absent(registry: PluginRegistry, kind: str) -> None:
    """A result that someone had no part in looks like any other."""
    for status in registry.unavailable_plugins():
        if status.kind == kind and status.state is not PluginState.REGISTERED:
            complain(f"plugin {status.name or status.location} took no part: {status.reason}", "warning")
