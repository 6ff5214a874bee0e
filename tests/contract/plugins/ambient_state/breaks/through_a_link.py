"""Writes below its tmpdir by name; a link there leads out of it.

kind = "transform"

[resources]
required = ["tmpdir"]
"""


class WritesElsewhere:
    def setup(self, ctx):
        self.out = ctx.resources.tmpdir.path / "out"
        self.out.symlink_to("/var/tmp", target_is_directory=True)

    def transform(self, text):
        file = self.out / "shout-through-a-link.txt"
        file.write_text(text, encoding="utf-8", errors="replace")
        file.unlink(missing_ok=True)
        return {"text": text, "length": len(text)}

    def teardown(self):
        self.out.unlink()
