"""What the command line can say."""

from __future__ import annotations

import argparse
import os
import re
import sys
import sysconfig
from pathlib import Path

_LIBRARY = sysconfig.get_path("stdlib")
PROGRAM = f"python {sys.argv[0]}"
OUT = Path("corpus_index")


def understand(arguments: list[str]) -> argparse.Namespace:
    """Parse and check the command line.

    Args:
        arguments: without the program's name; a first one that is exactly ``search`` asks for a search.

    Returns:
        The options; ``words`` is empty where a folder is to be indexed.
    """
    searching = arguments[:1] == ["search"]
    parser = _search_parser() if searching else _index_parser()
    parser.add_argument(
        "--out", type=Path, metavar="DIR", default=OUT, help="where the index lies (default: %(default)s)"
    )
    options = parser.parse_intermixed_args(arguments[searching:])
    options.out = options.out.absolute()
    if searching:
        options.words = re.findall(r"\w+", " ".join(options.words).casefold())
        if not options.words:
            parser.error("there is no word in that")
        return options
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    options.folder = options.folder.resolve()
    for path in (options.folder, options.out):
        if not _is_unicode(path):
            parser.error(f"{path}: the folder's name is not Unicode, and can't be handed to other processes")
    if options.out.resolve() == options.folder:
        parser.error(f"the index needs a folder of its own, not {options.folder}")
    return options


def _is_unicode(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _index_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Index the text files of a folder. Killed or interrupted, the same command goes on where it was; "
        "a second run redoes the partitions in which a file changed.",
        epilog="The environment variable DAGSTACK_UNITS says where the work is queued: in a file, or at "
        f"redis://host:port/number. To search the index: {PROGRAM} search WORD... "
        f"To index a folder called search: {PROGRAM} ./search",
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        nargs="?",
        default=Path(_LIBRARY),
        help=f"what to index (default: {_LIBRARY.replace('%', '%%')})",  # mixed with options, it is not told by itself
    )
    parser.add_argument("--limit", type=_count, metavar="N", help="only the first N files")
    parser.add_argument(
        "--partitions", type=_count, metavar="N", default=8, help="parts that are worked on side by side (default: 8)"
    )
    parser.add_argument(
        "--workers",
        type=_count_or_none,
        metavar="N",
        default=None,
        help=f"partitions at once in this process; 0: others do the work (default: {os.cpu_count()}, the processors)",
    )
    parser.add_argument(
        "--every", type=_count, metavar="N", default=100, help="files from checkpoint to checkpoint (default: 100)"
    )
    parser.set_defaults(words=[])
    return parser


def _search_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} search",
        description="Print the files that fit some words best; a word that few of them have counts most.",
        epilog=f"To index a folder called search: {PROGRAM} ./search",
    )
    parser.add_argument("words", metavar="WORD", nargs="+")
    parser.add_argument("--best", type=_count, metavar="N", default=10, help="at most N files (default: 10)")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _count_or_none(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)
