"""Makes integers of up to 4,000 digits, which readers of JSON still take."""


class ManyDigits:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["digits"],
            "properties": {"digits": {"type": "integer", "minimum": 1, "maximum": 4000}},
            "additionalProperties": False,
        }

    def execute(self, args):
        return {"number": 10 ** args["digits"] - 1, "minus": -(10 ** args["digits"])}
