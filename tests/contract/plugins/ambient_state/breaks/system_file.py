"""Reads a file of the system's through linecache, which nobody suspects of opening files.

kind = "transform"
"""

import linecache


class AsksTheKernel:
    def setup(self, ctx):
        self.log = ctx.logger

    def transform(self, text):
        self.log.debug("running on %s", linecache.getline("/proc/version", 1).strip())
        return {"text": text, "length": len(text)}
