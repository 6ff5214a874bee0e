"""Tells a schema of its arguments that is no JSON Schema: required is a text where a list belongs."""


class OwnSchemaIsNone:
    def get_schema(self):
        return {"type": "object", "required": "text", "properties": {"text": {"type": "string"}}}

    def execute(self, args):
        return {"text": args["text"].upper()}
