"""Opens a file of its own folder on the first call, and has no teardown.

kind = "transform"
"""

import os
from io import FileIO


class OpensLazily:
    def __init__(self):
        self.source = None

    def transform(self, text):
        if self.source is None:
            self.source = FileIO(__file__)
        return {"text": os.pread(self.source.fileno(), 3, 0).decode() + text}
