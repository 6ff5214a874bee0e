"""Keeps the last text in a thread-local of the module's, one for each thread that ever called.

kind = "transform"
"""

import threading

_kept = threading.local()


class KeepsByThread:
    def transform(self, text):
        _kept.text = text
        made = f"{_kept.text}."
        return {"text": made, "length": len(made)}
