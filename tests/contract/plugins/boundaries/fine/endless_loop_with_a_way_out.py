"""Loops for ever by the look of it, and leaves as soon as nothing more is found.

[contract.examples]
execute = [{text = "a, b", separator = ", "}, {text = "a, b", separator = ""}]
"""


class EndlessLoopWithAWayOut:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["text", "separator"],
            "properties": {"text": {"type": "string"}, "separator": {"type": "string"}},
            "additionalProperties": False,
        }

    def execute(self, args):
        count, place = 0, 0
        while True:
            place = args["text"].find(args["separator"], place)
            if place < 0:
                return {"count": count}
            count += 1
            place += max(1, len(args["separator"]))
