"""Counts words by their length, and hands out a dictionary whose keys are integers."""


class KeysAreNumbers:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["words"],
            "properties": {"words": {"type": "array", "items": {"type": "string"}, "maxItems": 5}},
            "additionalProperties": False,
        }

    def execute(self, args):
        counts = {}
        for word in args["words"]:
            counts[len(word)] = counts.get(len(word), 0) + 1
        return {"by_length": counts}
