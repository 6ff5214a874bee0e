"""Requires a value in its configuration, and gives none for the contract suite.

[config_schema]
type = "object"
required = ["prefix"]
properties = {prefix = {type = "string"}}
"""


class NeedsAConfiguration:
    def setup(self, ctx):
        self.prefix = ctx.config["prefix"]

    def execute(self, args):
        return {"text": self.prefix + ", ".join(sorted(args))}
