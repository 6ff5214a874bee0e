"""Misspells a type deep in the schema of its configuration, which the configuration that is given never reaches.

[config_schema]
type = "object"
properties = {rules = {type = "array", items = {type = "strng"}}}

[contract]
config = {rules = []}
"""


class SchemaOfNoType:
    def setup(self, ctx):
        self.rules = ctx.config.get("rules", [])

    def execute(self, args):
        return {"known": [name for name in sorted(args) if name in self.rules]}
