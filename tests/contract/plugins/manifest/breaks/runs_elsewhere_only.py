"""Says that it runs as a server only, and yet that it must run in process.

runtime = "mcp_stdio"
in_process_only = true

[mcp_stdio]
command = ["python", "plugin.py"]
"""


class RunsElsewhereOnly:
    def execute(self, args):
        return {"fields": len(args)}
