"""Times itself by a counter of the system's that goes by another name; only the log hears of it.

kind = "transform"
"""

from time import perf_counter as count


class TimesItself:
    def setup(self, ctx):
        self.log = ctx.logger

    def transform(self, text, times):
        began = count()
        made = text * times
        self.log.debug("took %.6f s", count() - began)
        return {"text": made, "length": len(made)}
