"""Has a partition key whose type stands elsewhere in the schema, as a list of strings to choose from.

[unit_of_work]
declared = true
partition_key = "region"

[contract.examples]
execute = [{region = "north"}, {region = "south"}]
"""


class Shouts:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["region"],
            "properties": {"region": {"$ref": "#/$defs/region"}},
            "additionalProperties": False,
            "$defs": {"region": {"enum": ["north", "south"]}},
        }

    def execute(self, args):
        return args["region"].upper()
