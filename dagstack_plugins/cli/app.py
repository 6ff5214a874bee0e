"""All commands under one name, and how each of them may end."""

from __future__ import annotations

from collections.abc import Sequence

import click

from dagstack_plugins.cli.call import call
from dagstack_plugins.cli.check import check
from dagstack_plugins.cli.contract import test
from dagstack_plugins.cli.dag import dag
from dagstack_plugins.cli.emit import emit
from dagstack_plugins.cli.graph import graph
from dagstack_plugins.cli.kind import kind
from dagstack_plugins.cli.kinds import kinds
from dagstack_plugins.cli.listing import list_plugins
from dagstack_plugins.cli.locking import lock
from dagstack_plugins.cli.new import new
from dagstack_plugins.cli.options import examples
from dagstack_plugins.cli.output import complain
from dagstack_plugins.cli.schema import schema
from dagstack_plugins.cli.serve import serve, serve_host
from dagstack_plugins.cli.telling import told
from dagstack_plugins.cli.units import units
from dagstack_plugins.errors import PluginRegistryError
from dagstack_plugins.version import VERSION

NAME = "dagstack-plugins"
_FAILED, _INTERRUPTED = 1, 130  # click's usage errors are 2


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "dagstack-plugins new plugin my_tool --kind tool",
        "dagstack-plugins list plugins/",
        "dagstack-plugins check plugins/my_tool",
        "dagstack-plugins graph --format mermaid plugins/",
        "dagstack-plugins kinds tool",
        "dagstack-plugins test plugins/my_tool",
        'dagstack-plugins call tool execute --name echo --json \'{"msg": "hello"}\'',
        "dagstack-plugins dag run pipeline.yaml",
        "dagstack-plugins units list",
    ),
)
@click.version_option(VERSION, "--version", prog_name=NAME, message="%(prog)s %(version)s")
def commands() -> None:
    """Look at plugins, check them, and call them."""


for command in (
    *(list_plugins, check, graph, kinds, call, dag, units, serve, serve_host),
    *(test, lock, new, emit, kind, schema),
):
    commands.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: the command line, without the program's name.

    Returns:
        The exit status: 0 for success, 1 for faults and failures, 2 for a wrong command line, 130 for Ctrl-C.
    """
    try:
        return commands.main(list(arguments), prog_name=NAME, standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return _INTERRUPTED
    except (PluginRegistryError, OSError) as error:
        complain(told(error))
        return _FAILED
