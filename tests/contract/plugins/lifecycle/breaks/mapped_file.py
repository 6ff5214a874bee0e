"""Closes its file but not the mapping of it into memory, which holds a descriptor of its own.

kind = "transform"

[resources]
required = ["tmpdir"]
"""

import mmap


class MapsAFile:
    def setup(self, ctx):
        path = ctx.resources.tmpdir.create_file("table")
        path.write_bytes(b"0123456789")
        with path.open("rb") as file:
            self.table = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def transform(self, text):
        return {"text": chr(self.table[len(text) % 10]), "length": len(text)}
