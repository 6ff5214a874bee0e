"""Never comes to an end where the separator is the empty string, which is found at the same place again and again.

[contract.examples]
execute = [{text = "a, b", separator = ", "}, {text = "a, b", separator = ""}]
"""


class WaitsForNoSeparator:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["text", "separator"],
            "properties": {"text": {"type": "string"}, "separator": {"type": "string"}},
            "additionalProperties": False,
        }

    def execute(self, args):
        count, place = 0, 0
        while (place := args["text"].find(args["separator"], place)) >= 0:
            count += 1
            place += len(args["separator"])
        return {"count": count}
