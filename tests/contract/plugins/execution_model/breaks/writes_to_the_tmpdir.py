"""Writes each text to its temporary folder, inside a coroutine function.

kind = "cleaner"
execution_model = "async"

[resources]
required = ["tmpdir"]
"""


class WritesEachText:
    def setup(self, ctx):
        self.path = ctx.resources.tmpdir.create_file("last", suffix=".txt")

    async def clean(self, text):
        with self.path.open("wb") as file:
            file.write(text.strip().encode("utf-8", "replace"))
        return {"text": text.strip()}
