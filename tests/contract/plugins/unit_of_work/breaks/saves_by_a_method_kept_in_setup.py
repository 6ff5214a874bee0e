"""Keeps the method that saves in its setup and calls it under another name, not having said that it can be resumed.

kind = "transform"

[unit_of_work]
declared = true
partition_key = "text"
"""


class Titles:
    def setup(self, ctx):
        self.remember = ctx.checkpoint.save

    def transform(self, text):
        made = text.title()
        self.remember("last", made)
        return {"text": made, "length": len(made)}
