class SchemaFileIsMissing:
    def setup(self, ctx):
        self.prefix = ctx.config.get("prefix", "> ")

    def execute(self, args):
        return {"text": self.prefix + ", ".join(sorted(args))}
