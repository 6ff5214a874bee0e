"""Lays the arguments over defaults by a ChainMap and writes to that, which changes the arguments.

[contract.examples]
execute = [{colour = "green"}, {}]
"""

from collections import ChainMap

DEFAULTS = {"colour": "blue", "size": "small"}


class WritesThroughAChainMap:
    def get_schema(self):
        return {
            "type": "object",
            "properties": {"colour": {"type": "string"}, "size": {"enum": ["small", "large"]}},
            "additionalProperties": False,
        }

    def execute(self, args):
        options = ChainMap(args, DEFAULTS)
        if options["size"] == "small":
            options["colour"] = "light " + options["colour"]
        return {"told": f"{options['size']}, {options['colour']}"}
