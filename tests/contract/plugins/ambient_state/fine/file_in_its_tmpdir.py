"""Writes and reads files in the folder that is lent to it, by absolute paths.

kind = "transform"

[resources]
required = ["tmpdir"]
"""

import shutil


class Stores:
    def setup(self, ctx):
        self.folder = ctx.resources.tmpdir.create_subdir("pages")

    def transform(self, text):
        first, second = self.folder / "first.txt", self.folder / "second.txt"
        first.write_text(text, encoding="utf-8", newline="")
        shutil.copyfile(first, second)
        first.unlink()
        made = second.read_bytes().decode()
        return {"text": made, "length": len(made)}

    def teardown(self):
        shutil.rmtree(self.folder)
