"""Closes its file in teardown after a line that always fails, and swallows that failure.

kind = "transform"
"""

from contextlib import suppress
from io import FileIO


class SwallowsErrors:
    def setup(self):
        self.file = FileIO(__file__)
        self.marker = self.file.read(1).decode()

    def transform(self, text):
        return {"text": self.marker + text}

    def teardown(self):
        with suppress(Exception):
            self.cache.clear()
            self.file.close()
