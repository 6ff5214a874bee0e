"""Has the schema of its configuration in the class, and a configuration that keeps it thanks to a default.

[contract]
config = {prefix = "- "}
"""


class SchemaOnTheClass:
    config_schema = {
        "type": "object",
        "required": ["prefix", "suffix"],
        "properties": {"prefix": {"type": "string"}, "suffix": {"enum": [".", "!"], "default": "."}},
        "additionalProperties": False,
    }

    def setup(self, ctx):
        self.prefix, self.suffix = ctx.config["prefix"], ctx.config["suffix"]

    def execute(self, args):
        return {"text": self.prefix + ", ".join(sorted(args)) + self.suffix}
