"""Opens a pipe in setup and closes only one end of it in teardown.

kind = "transform"
"""

import os


class OpensAPipe:
    def setup(self):
        self.reading, self.writing = os.pipe()

    def transform(self, text):
        return {"text": text.replace("a", "b")}

    def teardown(self):
        os.close(self.writing)
