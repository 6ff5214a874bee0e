"""Reads numbers that JSON has no form for, and puts null in their places.

[contract.examples]
execute = [{source = "[1, NaN, -Infinity, 1e999]"}, {source = "{\\"mass\\": 2.5}"}]
"""

import json
import math


def cleaned(value):
    if isinstance(value, dict):
        return {cleaned(key): cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


class NoNumberBecomesNull:
    def get_schema(self):
        return {"type": "object", "required": ["source"], "properties": {"source": {"type": "string"}}}

    def execute(self, args):
        found = cleaned(json.loads(args["source"]))
        return {"found": [list(pair) for pair in found.items()] if isinstance(found, dict) else found}
