"""Reads the environment in its teardown, when the time of setup is long over.

kind = "transform"
"""

import os


class SaysGoodbye:
    def setup(self, ctx):
        self.log = ctx.logger

    def transform(self, text):
        return {"text": text.strip(), "length": len(text.strip())}

    def teardown(self):
        if "SHOUT_QUIET" not in os.environ:
            self.log.info("goodbye")
