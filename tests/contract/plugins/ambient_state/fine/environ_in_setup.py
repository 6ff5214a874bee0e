"""Reads the environment and the working directory in setup, where that is allowed, and keeps what it read.

kind = "transform"
"""

import os
import shutil
from pathlib import Path


class ReadsAtTheStart:
    def setup(self, ctx):
        self.debug = os.environ.get("SHOUT_DEBUG", "") == "yes"
        self.known = shutil.which("sh"), os.path.expandvars("$HOME"), Path.cwd()
        self.log = ctx.logger

    def transform(self, text):
        if self.debug:
            self.log.debug("started in %s", self.known)
        return {"text": text.upper(), "length": len(text.upper())}
