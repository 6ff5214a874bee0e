"""Hashes, extracts and indexes a folder of files, whatever kills it; ``python examples/corpus_pipeline --help``."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import sys
import time
from typing import TYPE_CHECKING

from dagstack_plugins import PluginRegistryError
from folders import Output
from following import Following, PipelineFailed
from listing import walk
from options import PROGRAM, understand
from registry import running
from searching import Index, shown
from showing import showing, summary

if TYPE_CHECKING:
    import argparse

    from following import Outcome
    from listing import File

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
NOTHING_FOUND = 1  # as grep does


def main(arguments: list[str]) -> int:
    """Run the program.

    Args:
        arguments: the command line, without the program's name.

    Returns:
        The exit status.
    """
    options = understand(arguments)
    try:
        return search(options) if options.words else index(options)
    except KeyboardInterrupt:
        if not options.words:
            print(f"interrupted; this goes on from here: {PROGRAM} {shlex.join(arguments)}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (PluginRegistryError, PipelineFailed, OSError) as error:
        print(f"corpus_pipeline: {error}", file=sys.stderr)
        return WRONG if options.words else FAILED


def index(options: argparse.Namespace) -> int:
    """Bring the index up to date."""
    began = time.monotonic()
    output = Output(options.out, options.folder)
    files = list(walk(options.folder, leave_out=options.out))[: options.limit]
    if not files:
        raise PipelineFailed(f"there are no files in {options.folder}")
    outcome = asyncio.run(_followed(options, output, files))
    is_new = output.publish(outcome.index)
    for line in summary(outcome, output, is_new=is_new, seconds=time.monotonic() - began):
        print(line)
    return DONE


async def _followed(options: argparse.Namespace, output: Output, files: list[File]) -> Outcome:
    async with running(options.workers) as registry:
        with showing() as show:
            return await Following(registry, output, options.every, show)(files, options.partitions)


def search(options: argparse.Namespace) -> int:
    """Print the files that fit some words best."""
    file = options.out / "index"
    if not file.is_file():
        print(f"corpus_pipeline: there is no index in {options.out}; make one: {PROGRAM} FOLDER", file=sys.stderr)
        return WRONG
    with Index(file) as found:
        hits = found.best(options.words, options.best)
    for hit in hits:
        print(f"{hit.score:6.2f}  {shown(hit.path)}  {shown(hit.title)}".rstrip())
        for path in hit.copies:
            print(f"        {shown(path)}  the same")
    return DONE if hits else NOTHING_FOUND


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names that nobody can show
    if logging.lastResort is not None:  # what fails is told at the end, without the lines of code that it came by
        logging.lastResort.addFilter(lambda record: not record.exc_info)
    sys.exit(main(sys.argv[1:]))
