"""Tells the files of its tmpdir in the order in which the file system lists them.

kind = "transform"

[resources]
required = ["clock", "rng", "tmpdir"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class Lists:
    def setup(self, ctx):
        self.folder = ctx.resources.tmpdir.create_subdir("pages")
        for name in ("ash", "birch", "cedar", "dogwood", "elm", "fir", "gingko", "hazel", "ivy", "juniper"):
            (self.folder / name).touch()

    def transform(self, text):
        made = " ".join(file.name for file in self.folder.iterdir() if file.name not in text)
        return {"text": made, "length": len(made)}

    def teardown(self):
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()
