"""Counts by number and by None, and makes text of those keys at the end."""


class KeysBecomeText:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["words"],
            "properties": {"words": {"type": "array", "items": {"type": "string"}, "maxItems": 5}},
        }

    def execute(self, args):
        counts = {None: 0}
        for word in args["words"]:
            key = len(word) or None
            counts[key] = counts.get(key, 0) + 1
        return {str(key or "empty"): counts[key] for key in sorted(counts, key=lambda key: key or 0)}
