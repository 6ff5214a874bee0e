"""Excuses itself from a check and leaves the reason empty.

[contract.excused]
lifecycle = ""
"""


class ExcusedWithoutAReason:
    def execute(self, args):
        return {"fields": len(args)}
