"""Reads a clock in its own process, by a name that is put together while it runs.

kind = "transform"
execution_model = "process_cpu_bound"
"""

import importlib


class PutsTogether:
    def setup(self, ctx):
        self.log = ctx.logger

    def transform(self, text, times):
        read = getattr(importlib.import_module("ti" + "me"), "_".join(("monotonic", "ns")))
        began = read()
        made = text * times
        self.log.debug("took %d ns", read() - began)
        return {"text": made, "length": len(made)}
