"""Writes to loggers, its own and the context's, which stamp each record with time, thread and process.

kind = "transform"
"""

import logging

log = logging.getLogger(__name__)


class Logs:
    def setup(self, ctx):
        self.log = ctx.logger.getChild("hooks")

    def transform(self, text):
        log.info("%d characters", len(text))
        self.log.info("transforming", extra={"characters": len(text)})
        return {"text": text, "length": len(text)}
