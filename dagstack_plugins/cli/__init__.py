"""The command ``dagstack-plugins``: what plugins are here, what is wrong with them, what they answer."""

from __future__ import annotations

import sys
from typing import NoReturn

_NEEDED = ("click", "rich")
_INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command with the arguments of this process, and end the process with its exit status."""
    try:
        from dagstack_plugins.cli.app import run

        status = run(sys.argv[1:])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        print('dagstack-plugins needs more to run as a command: pip install "dagstack-plugins[cli]"', file=sys.stderr)  # noqa: T201
        status = 1
    except KeyboardInterrupt:
        status = _INTERRUPTED
    sys.exit(status)
