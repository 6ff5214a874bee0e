"""Gives NaN for the average of an empty list.

[contract.examples]
execute = [{numbers = [1, 2]}, {numbers = []}]
"""


class AverageOfNothing:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["numbers"],
            "properties": {
                "numbers": {"type": "array", "items": {"type": "integer", "minimum": -9, "maximum": 9}, "maxItems": 5}
            },
            "additionalProperties": False,
        }

    def execute(self, args):
        numbers = args["numbers"]
        return {"average": sum(numbers) / len(numbers) if numbers else float("nan")}
