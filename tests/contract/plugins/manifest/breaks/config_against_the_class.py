"""Has the schema of its configuration in the class, and a configuration in the manifest that breaks it.

[contract]
config = {prefix = 7}
"""


class ConfigAgainstTheClass:
    config_schema = {"type": "object", "properties": {"prefix": {"type": "string", "default": "> "}}}

    def setup(self, ctx):
        self.prefix = ctx.config["prefix"]

    def execute(self, args):
        return {"text": f"{self.prefix}{', '.join(sorted(args))}"}
