"""The configuration that a command gives to plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dagstack_plugins.cli.options import FILE
from dagstack_plugins.manifest_text import Unreadable, read_tables

config_option = click.option(
    "--config", metavar="FILE", type=FILE, help="The plugins' configuration, TOML or JSON: {kind: {name: {…}}}."
)


def read_config(file: Path | None) -> dict[str, Any]:
    """What a configuration file says; nothing, if there is none.

    Raises:
        click.BadParameter: if it can't be read, or is something else.
    """
    if file is None:
        return {}
    try:
        return read_tables(file)
    except Unreadable as error:
        raise click.BadParameter(f"{file} {error}", param_hint="--config") from None
