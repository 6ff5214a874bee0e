"""What the command line can say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
INDEX = ".code_index"
PROGRAM = f"python {sys.argv[0]}"


def understand(arguments: list[str]) -> argparse.Namespace:
    """Parse and check the command line.

    Args:
        arguments: without the program's name; a first one that is exactly ``search`` asks for a search.

    Returns:
        The options; ``word`` is ``None`` where a folder is to be indexed.
    """
    searching = arguments[:1] == ["search"]
    parser = _search_parser() if searching else _index_parser()
    parser.add_argument(
        "--index", type=Path, metavar="DIR", help=f"where the index lies (default: {INDEX} in the folder)"
    )
    parser.add_argument(
        "--plugins",
        type=Path,
        metavar="DIR",
        action="append",
        default=[],
        help="a folder of more plugins; may be repeated",
    )
    parser.add_argument(
        "--isolate",
        metavar="KIND/NAME",
        action="append",
        default=[],
        help="run this plugin in a process of its own (index_store/sqlite); needs the extra `mcp`; may be repeated",
    )
    options = parser.parse_args(arguments[searching:])
    for folder in (options.root, *options.plugins):
        if not folder.is_dir():
            parser.error(f"{folder} is not a folder")
    options.root = options.root.resolve()
    options.index = (options.index or options.root / INDEX).resolve()
    if options.index == options.root:
        parser.error(f"the index needs a folder of its own, not {options.root}")
    return options


def _index_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Index a folder through plugins. A second run reads only what changed.",
        epilog=f"To search the index: {PROGRAM} search WORD. To index a folder called search: {PROGRAM} ./search",
    )
    parser.add_argument(
        "root", type=Path, metavar="PATH", nargs="?", default=_repository(), help="what to index (default: %(default)s)"
    )
    parser.add_argument(
        "--skip",
        metavar="NAME",
        action="append",
        default=[],
        help="files and folders to pass over (*.min.js); may be repeated",
    )
    parser.set_defaults(word=None)
    return parser


def _search_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} search",
        description="Print the symbols whose name contains WORD: path, line, kind and name.",
        epilog=f"To index a folder called search: {PROGRAM} ./search",
    )
    parser.add_argument("word", metavar="WORD")
    parser.add_argument(
        "--root",
        type=Path,
        metavar="PATH",
        default=_repository(),
        help="the folder that was indexed (default: %(default)s)",
    )
    return parser


def _repository() -> Path:
    """The repository that this program lies in."""
    marks = (".git", "pyproject.toml")
    return next((folder for folder in HERE.parents if any((folder / mark).exists() for mark in marks)), HERE)
