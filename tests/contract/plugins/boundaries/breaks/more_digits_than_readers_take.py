"""Makes integers of up to 5,000 digits, more than Python or JSON parsers read back."""


class MoreDigitsThanReadersTake:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["digits"],
            "properties": {"digits": {"type": "integer", "minimum": 1, "maximum": 5000}},
            "additionalProperties": False,
        }

    def execute(self, args):
        return {"number": 10 ** args["digits"] - 1}
