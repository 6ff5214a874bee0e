"""Leaves temporary files behind, but in the folder that the host lends and removes.

kind = "transform"

[resources]
required = ["tmpdir"]
"""

import tempfile


class LeavesFiles:
    def setup(self, ctx):
        folder = ctx.resources.tmpdir
        with tempfile.NamedTemporaryFile(dir=folder.path, delete=False) as file:
            file.write(b"scratch")
        self.last = folder.create_file("last", suffix=".txt")

    def transform(self, text):
        return {"text": self.last.name, "length": self.last.write_bytes(text.encode())}
