"""Reads the wall clock through a partial when an attribute of its own is first asked for, on the second call.

kind = "transform"
"""

from datetime import UTC, datetime
from functools import cached_property, partial

now = partial(datetime.now, UTC)


class IsBornLate:
    def setup(self, ctx):
        self.log = ctx.logger
        self.calls = 0

    @cached_property
    def born(self):
        return now()

    def transform(self, text):
        self.calls += 1
        if self.calls > 1:
            self.log.debug("here since %s", self.born)
        return {"text": text, "length": len(text)}
