"""Is given the root, and reads what it likes below.

[contract.examples]
execute = [{path = "/"}]
"""

import os


class ReadsOn:
    def get_schema(self):
        return {"type": "object", "properties": {"path": {"const": "/"}}, "required": ["path"]}

    def execute(self, args):
        return {"entries": len(os.listdir(os.path.join(args["path"], "var", "log")))}  # noqa: PTH118, PTH208
