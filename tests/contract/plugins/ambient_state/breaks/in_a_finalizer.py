"""Reads the wall clock when an object of its own is thrown away.

kind = "transform"
"""

import time


class Draft:
    def __init__(self, text, log):
        self.text, self.log = text.strip(), log

    def __del__(self):
        self.log.debug("dropped at %s", time.ctime())


class Drafts:
    def setup(self, ctx):
        self.log = ctx.logger

    def transform(self, text):
        made = Draft(text, self.log).text
        return {"text": made, "length": len(made)}
