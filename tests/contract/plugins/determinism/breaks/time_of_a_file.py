"""Reads the time from a file that it has just made in its tmpdir.

kind = "transform"

[resources]
required = ["clock", "rng", "tmpdir"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class Stamps:
    def __init__(self):
        self.made = 0

    def setup(self, ctx):
        mark = ctx.resources.tmpdir.create_file("mark")
        self.made = self.made or mark.stat().st_mtime_ns
        mark.unlink()

    def transform(self, text):
        made = f"{self.made}: {text}"
        return {"text": made, "length": len(made)}
