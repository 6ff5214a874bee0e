"""Has a setup that wants the context and the configuration, where it gets the context alone."""


class SetupWantsMore:
    def setup(self, ctx, config):
        self.prefix = config.get("prefix", "> ")

    def execute(self, args):
        return {"text": self.prefix + ", ".join(sorted(args))}
