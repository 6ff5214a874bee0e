"""Finds the median by sorting the list that the caller gave.

[contract.examples]
execute = [{numbers = [3, 1, 2]}]
"""


class SortsInPlace:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["numbers"],
            "properties": {"numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 5}},
            "additionalProperties": False,
        }

    def execute(self, args):
        numbers = args["numbers"]
        numbers.sort()
        return {"median": numbers[len(numbers) // 2]}
