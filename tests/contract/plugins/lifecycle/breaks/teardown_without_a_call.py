"""Closes in teardown what only a first call makes, and so fails when there was none.

kind = "transform"
"""

import io


class NeedsACall:
    def setup(self):
        self.page = None

    def transform(self, text):
        if self.page is None:
            self.page = io.StringIO()
        self.page.seek(0)
        self.page.truncate()
        self.page.write(text)
        return {"text": self.page.getvalue(), "length": len(text)}

    def teardown(self):
        self.page.close()
        self.page = None
