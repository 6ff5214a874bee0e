"""Opens a file in memory as a bare number, which nothing closes when its object goes.

kind = "job"
"""

import os


class ScratchesInMemory:
    def setup(self):
        scratch = os.memfd_create("scratch")
        os.write(scratch, b"begin")
        self.size = os.fstat(scratch).st_size

    def work(self, items, partition):
        return {"results": [item[: self.size] for item in items], "count": len(items)}
