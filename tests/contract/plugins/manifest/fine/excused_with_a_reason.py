"""Reads an environment variable in its hook, and says in the manifest why it may.

[contract.excused]
ambient_state = "the variable is set by the operator while the host runs"
"""

import os


class ExcusedWithAReason:
    def execute(self, args):
        return {"fields": len(args), "debug": os.environ.get("EXCUSED_WITH_A_REASON_DEBUG") == "1"}
