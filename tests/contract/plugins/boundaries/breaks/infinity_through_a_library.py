"""Reads numbers through json.loads, which makes an infinity of a number that is too large.

[contract.examples]
execute = [{source = "[1, 2.5]"}, {source = "{\\"mass\\": 1e999}"}]
"""

import json


class InfinityThroughALibrary:
    def get_schema(self):
        return {"type": "object", "required": ["source"], "properties": {"source": {"type": "string"}}}

    def execute(self, args):
        return {"value": json.loads(args["source"])}
