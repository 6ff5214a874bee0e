"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
FILE_OR_FOLDER: Final = click.Path(exists=True, path_type=Path)
FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

hookspecs_option = click.option(
    "--hookspecs",
    metavar="PATH",
    multiple=True,
    type=FILE_OR_FOLDER,
    help="A hookspec, or a folder of kinds; may be repeated. Default: the nearest folder kinds/ or hookspecs/, "
    "from the plugins' folder upwards.",
)
installed_option = click.option(
    "--installed", is_flag=True, help="Plugins of installed distributions too; without a PATH, those alone."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for programs.")


def examples(*lines: str) -> str:
    """The end of a command's help: command lines to copy."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
