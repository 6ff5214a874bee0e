"""Sorts what it lists of its tmpdir, by name.

kind = "transform"

[resources]
required = ["clock", "rng", "tmpdir"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import os
import shutil


class Lists:
    def setup(self, ctx):
        self.folder = ctx.resources.tmpdir.create_subdir("pages")
        for name in ("juniper", "ash", "ivy", "birch", "hazel", "cedar"):
            (self.folder / name).touch()

    def transform(self, text):
        names = [file.name for file in sorted(self.folder.iterdir())]
        count = len(os.listdir(self.folder))  # noqa: PTH208
        made = f"{count} {names} {sorted(entry.name for entry in os.scandir(self.folder))} {text}"
        return {"text": made, "length": len(made)}

    def teardown(self):
        shutil.rmtree(self.folder)
