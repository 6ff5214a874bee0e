"""Tells the schema of its arguments, which has another name for the partition than the manifest.

[unit_of_work]
declared = true
partition_key = "region"

[contract.examples]
execute = [{area = "north", value = 3}, {area = "south", value = -1}]
"""


class Doubles:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["area", "value"],
            "properties": {"area": {"type": "string"}, "value": {"type": "integer"}},
            "additionalProperties": False,
        }

    def execute(self, args):
        return {"area": args["area"], "value": 2 * args["value"]}
