"""Sorts, empties and pops, but only a deep copy of what it got.

[contract.examples]
execute = [{numbers = [3, 1, 2]}]
"""

import copy


class SortsACopy:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["numbers"],
            "properties": {"numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 5}},
            "additionalProperties": False,
        }

    def execute(self, args):
        mine = copy.deepcopy(args)
        numbers = mine.pop("numbers")
        numbers.sort()
        return {"least": numbers[0], "most": numbers[-1], "left": mine}
