"""Builds command lines by modules that could run them, and leaves that to its caller."""

import shlex
from subprocess import list2cmdline


class BuildsCommandLines:
    def execute(self, args):
        words = ["os.system", *(str(name) for name in args)]
        return {"posix": shlex.join(words), "windows": list2cmdline(words)}
