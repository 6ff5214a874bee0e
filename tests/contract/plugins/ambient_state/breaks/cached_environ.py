"""Reads the environment on the first call alone, as the function that does is cached.

kind = "transform"
"""

import os
from functools import lru_cache


@lru_cache(maxsize=1)
def limit():
    return int(os.environ.get("SHOUT_LIMIT", "1000"))


class Cuts:
    def transform(self, text):
        made = text[: limit()]
        return {"text": made, "length": len(made)}
