"""Answers with what Counter.most_common gives, a list of tuples, which JSON brings back as lists."""

from collections import Counter


class PairsThroughALibrary:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["words"],
            "properties": {"words": {"type": "array", "items": {"type": "string"}, "maxItems": 5}},
            "additionalProperties": False,
        }

    def execute(self, args):
        return {"most": Counter(args["words"]).most_common(3)}
