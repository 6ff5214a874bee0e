"""Ends the process while it is imported, because a library is missing."""

import sys

try:
    import dagstack_absent_engine
except ImportError:
    sys.exit("dagstack_absent_engine is not installed")


class ExitsAtImport:
    def execute(self, args):
        return dagstack_absent_engine.run(args)
