class SchemaInAFile:
    def setup(self, ctx):
        self.words = tuple(ctx.config["words"])

    def execute(self, args):
        return {"known": [name for name in sorted(args) if name in self.words]}
