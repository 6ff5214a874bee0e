"""Changes the working directory to its own folder while a hook runs, and goes back.

kind = "transform"

[resources]
required = ["tmpdir"]
"""

from contextlib import chdir
from pathlib import Path


class GoesThere:
    def setup(self, ctx):
        self.folder = ctx.resources.tmpdir.path

    def transform(self, text):
        with chdir(self.folder):
            Path("last.txt").write_text(text, encoding="utf-8", errors="replace")
        return {"text": text, "length": len(text)}
