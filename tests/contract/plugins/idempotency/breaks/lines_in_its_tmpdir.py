"""Writes a line for each call to a file in its tmpdir and answers with their number.

kind = "transform"

[resources]
required = ["tmpdir"]

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
"""


class Lines:
    def setup(self, ctx):
        self.file = ctx.resources.tmpdir.path / "calls.txt"

    def transform(self, text):
        with self.file.open("a+", encoding="utf-8") as stream:
            stream.write(f"{len(text)}\n")
            stream.seek(0)
            return {"text": f"call {len(stream.readlines())}", "length": len(text)}
