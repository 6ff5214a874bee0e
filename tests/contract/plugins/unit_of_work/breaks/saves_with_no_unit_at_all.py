"""Saves a checkpoint in a hook and declares no unit of work.

kind = "transform"
"""


class Casefolds:
    def describe(self):
        return {"folds": True}

    def transform(self, text, ctx):
        ctx.checkpoint.save("longest", len(text))
        return {"text": text.casefold()}
