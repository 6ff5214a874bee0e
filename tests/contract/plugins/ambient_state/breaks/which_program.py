"""Searches the environment's PATH for a program through shutil, and goes on in the same way whether it is there.

kind = "transform"
"""

import shutil


class WouldRatherCall:
    def setup(self, ctx):
        self.log = ctx.logger

    def transform(self, text):
        if shutil.which("fold") is None:
            self.log.debug("fold is missing")
        made = "\n".join(text[start : start + 40] for start in range(0, len(text), 40))
        return {"text": made, "length": len(made)}
