"""Raises errors of its own on most of its inputs, which is its right.

[contract.examples]
execute = [{amount = 10}]
"""


class TooMuch(Exception):
    def __init__(self, amount):
        super().__init__(f"{amount} is too much")
        self.amount = amount


class RefusesMostInputs:
    def get_schema(self):
        return {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "integer"}}}

    def execute(self, args):
        if args["amount"] > 10:
            raise TooMuch(args["amount"])
        if args["amount"] < 0:
            raise AssertionError("the amount is below zero")
        return {"each": 10 / args["amount"]}
