"""Reads in its constructor what only setup brings."""


class ConstructorBeforeSetup:
    def __init__(self):
        self.prefix = self.config.get("prefix", "> ")

    def setup(self, ctx):
        self.config = ctx.config

    def execute(self, args):
        return {"text": self.prefix + ", ".join(sorted(args))}
