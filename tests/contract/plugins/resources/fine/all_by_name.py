"""Takes its resources in a loop over their names, by the function that refuses undeclared ones.

kind = "transform"

[resources]
required = ["clock", "rng", "tmpdir"]
"""


class TakesAllByName:
    def setup(self, ctx):
        self.lent = {name: ctx.resources.get(name) for name in ctx.resources}

    def transform(self, text):
        return {"text": text, "length": len(self.lent)}

    def teardown(self):
        self.lent.clear()
