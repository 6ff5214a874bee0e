"""Opens a file on the first call only, and closes it in teardown if there was one.

kind = "transform"
"""

import os
from io import FileIO


class OpensLazily:
    def setup(self):
        self.source = None

    def transform(self, text):
        if self.source is None:
            self.source = FileIO(__file__)
        return {"text": os.pread(self.source.fileno(), 3, 0).decode() + text}

    def teardown(self):
        if self.source is not None:
            self.source.close()
        self.source = None
