"""Writes a mark beside the folder that its configuration names, for as long as it writes in there.

kind = "transform"

[config_schema]
type = "object"
required = ["folder"]
properties = {folder = {type = "string"}}

[contract.config]
folder = "${tmpdir}"
"""

from pathlib import Path


class Marks:
    def setup(self, ctx):
        self.folder = Path(ctx.config["folder"])

    def transform(self, text):
        mark = self.folder / ".." / f"{self.folder.name}.busy"
        mark.touch()
        (self.folder / "last.txt").write_text(text, encoding="utf-8", errors="replace")
        mark.unlink(missing_ok=True)
        return {"text": text, "length": len(text)}

    def teardown(self):
        (self.folder / "last.txt").unlink(missing_ok=True)
