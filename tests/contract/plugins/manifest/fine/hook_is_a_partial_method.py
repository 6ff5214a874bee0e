"""Makes its hook of a general method by functools.partialmethod.

kind = "transform"
"""

from functools import partialmethod


class HookIsAPartialMethod:
    def change(self, way, text, times=1):
        return {"text": getattr(text, way)() * times}

    transform = partialmethod(change, "title")
