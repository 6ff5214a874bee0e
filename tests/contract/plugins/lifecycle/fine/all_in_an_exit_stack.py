"""Keeps files, a mapping and a pool of threads in one stack, which teardown closes.

kind = "transform"

[resources]
required = ["tmpdir"]
"""

import mmap
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack


class KeepsAStack:
    def setup(self, ctx):
        path = ctx.resources.tmpdir.create_file("table")
        path.write_bytes(b"0123456789")
        self.stack = ExitStack()
        file = self.stack.enter_context(path.open("rb"))
        self.table = self.stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        pool = self.stack.enter_context(ThreadPoolExecutor(max_workers=1))
        self.sum = pool.submit(sum, range(10)).result()

    def transform(self, text):
        return {"text": chr(self.table[len(text) % 10]), "length": self.sum}

    def teardown(self):
        self.stack.close()
