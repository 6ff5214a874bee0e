"""Excuses itself from a check that does not exist.

[contract.excused]
ambient = "it reads nothing ambient, but says so to be sure"
"""


class ExcusedFromNoCheck:
    def execute(self, args):
        return {"fields": len(args)}
