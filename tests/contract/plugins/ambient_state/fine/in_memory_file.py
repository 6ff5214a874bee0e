"""Buffers in a temporary file that no text is long enough to bring to a disk.

kind = "transform"
"""

import tempfile


class Buffers:
    def transform(self, text, times):
        with tempfile.SpooledTemporaryFile(max_size=1_000_000) as file:
            file.write(text.encode() * times)
            file.seek(0)
            made = file.read().decode()
        return {"text": made, "length": len(made)}
