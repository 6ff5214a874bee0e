"""Counts the lines of a file that the caller names.

[contract.examples]
execute = [{path = "${plugin}/plugin.py"}, {path = "${plugin}/dagstack.toml"}]
"""

import os


class CountsLines:
    def get_schema(self):
        return {"type": "object", "properties": {"path": {"type": "string", "minLength": 1}}, "required": ["path"]}

    def execute(self, args):
        if not os.path.isabs(args["path"]):  # noqa: PTH117
            raise ValueError(f"not an absolute path: {args['path']!r}")
        with open(args["path"], "rb") as file:  # noqa: PTH123
            return {"lines": sum(1 for _ in file)}
