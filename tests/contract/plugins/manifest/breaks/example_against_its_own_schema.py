"""Gives an example that the schema which the tool itself tells of its arguments refuses.

[contract.examples]
execute = [{number = 4}, {number = "4"}]
"""


class ExampleAgainstItsOwnSchema:
    def get_schema(self):
        return {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}

    def execute(self, args):
        return {"twice": args["number"] * 2}
