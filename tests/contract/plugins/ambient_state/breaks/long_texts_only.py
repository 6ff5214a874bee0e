"""Keeps short texts in memory and long ones in a temporary file that is not in its tmpdir.

kind = "transform"

[contract.examples]
transform = {text = "a text that is longer than forty characters by far", times = 5}
"""

import tempfile


class Buffers:
    def transform(self, text, times):
        with tempfile.SpooledTemporaryFile(max_size=160) as file:
            for _ in range(times):
                file.write(text.encode())
            file.seek(0)
            made = file.read().decode()
        return {"text": made, "length": len(made)}
