"""Keeps its answers in an lru_cache that tells 1 from true, as it is made with typed=True.

[unit_of_work]
declared = true
idempotency_mode = "input_hash"

[contract.examples]
execute = [{name = "a", value = 1}, {name = "a", value = true}, {name = "b", value = false}, {name = "b", value = 0}]
"""

from functools import lru_cache


class Describes:
    def setup(self, ctx):
        self.described = lru_cache(maxsize=100, typed=True)(lambda name, value: f"{name} is {value}")

    def get_schema(self):
        return {
            "type": "object",
            "required": ["name", "value"],
            "properties": {"name": {"type": "string"}, "value": {"type": ["boolean", "integer"]}},
            "additionalProperties": False,
        }

    def execute(self, args):
        return self.described(args["name"], args["value"])
