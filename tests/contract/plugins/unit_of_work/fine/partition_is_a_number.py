"""Has a partition key that is a number, and a schema of its own that requires it.

[unit_of_work]
declared = true
partition_key = "shard"
idempotency_mode = "input_hash"
content_hash = ["shard", "names"]

[contract.examples]
execute = [{shard = 0, names = []}, {shard = 7, names = ["b", "a"]}]
"""


class Sorts:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["shard"],
            "properties": {
                "shard": {"type": "integer", "minimum": 0},
                "names": {"type": "array", "items": {"type": "string"}},
            },
            "additionalProperties": False,
        }

    def execute(self, args):
        return {"shard": args["shard"], "names": sorted(args.get("names", []))}
