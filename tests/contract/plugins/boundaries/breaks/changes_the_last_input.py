"""Keeps the arguments of a call and empties a list in them when the next call comes.

[contract.examples]
execute = [{names = ["Ada", "Grace"]}, {names = ["Alan"]}]
"""


class ChangesTheLastInput:
    def setup(self):
        self.before = None

    def get_schema(self):
        return {
            "type": "object",
            "required": ["names"],
            "properties": {"names": {"type": "array", "items": {"type": "string"}, "maxItems": 5}},
            "additionalProperties": False,
        }

    def execute(self, args):
        if self.before is not None:
            self.before["names"].clear()
        self.before = args
        return {"greeting": "Hello " + ", ".join(args["names"])}
