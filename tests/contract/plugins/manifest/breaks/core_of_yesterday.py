"""Wants versions of the package that all lie before the first one.

core_version = ">=0.0.1,<0.1.0.dev0"
"""


class CoreOfYesterday:
    def execute(self, args):
        return {"fields": len(args)}
