"""Tells a schema in which the partition key is required, but may be null.

[unit_of_work]
declared = true
partition_key = "region"

[contract.examples]
execute = [{region = "north"}, {region = "south"}]
"""


class Greets:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["region"],
            "properties": {"region": {"type": ["string", "null"]}},
            "additionalProperties": False,
        }

    def execute(self, args):
        return f"hello, {args['region'] or 'world'}"
