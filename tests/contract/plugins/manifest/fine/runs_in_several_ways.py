"""Can run as a server too, on a command that does not exist, but in process as well.

runtime = ["mcp_stdio", "in_process"]
core_version = "!=0.0.*, ~=0.1, !=0.1.99, <2"
kind_api_version = "1.0"

[mcp_stdio]
command = ["dagstack-absent-server", "--stdio"]
"""


class RunsInSeveralWays:
    def execute(self, args):
        return {"fields": len(args)}
