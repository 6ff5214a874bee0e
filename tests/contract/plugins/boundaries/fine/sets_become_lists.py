"""Works with sets and tuples all the way, and hands out sorted lists of lists.

[contract.examples]
execute = [{a = ["x", "y"], b = ["y", "z"]}]
"""


class SetsBecomeLists:
    def get_schema(self):
        names = {"type": "array", "items": {"type": "string"}, "maxItems": 5}
        return {"type": "object", "required": ["a", "b"], "properties": {"a": names, "b": names}}

    def execute(self, args):
        pairs = {(one, two) for one in args["a"] for two in args["b"] if one != two}
        return {"common": sorted({*args["a"]} & {*args["b"]}), "pairs": [list(pair) for pair in sorted(pairs)]}
