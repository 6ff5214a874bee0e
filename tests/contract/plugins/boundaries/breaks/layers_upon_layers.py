"""Puts one lazy iterator round another until reading them overflows the interpreter's own stack.

[contract.examples]
execute = [{layers = 3}, {layers = 1000000}]
"""


class LayersUponLayers:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["layers"],
            "properties": {"layers": {"type": "integer", "minimum": 0, "maximum": 1000000}},
            "additionalProperties": False,
        }

    def execute(self, args):
        numbers = iter((-1, 0, 1))
        for _ in range(args["layers"]):
            numbers = map(abs, numbers)
        return {"numbers": list(numbers)}
