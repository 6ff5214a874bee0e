"""Counts what is in a folder that the caller names, were it the root.

[contract.examples]
execute = [{path = "/"}, {path = "/."}]
"""

import os


class CountsEntries:
    def get_schema(self):
        return {"type": "object", "properties": {"path": {"enum": ["/", "/."]}}, "required": ["path"]}

    def execute(self, args):
        return {"entries": len(os.listdir(args["path"])) > 0}  # noqa: PTH208
