"""Reads the environment while its module is imported, under a borrowed name.

kind = "transform"
"""

from os import getenv as _option

SEPARATOR = _option("SHOUT_SEPARATOR", " ")


class Repeats:
    def transform(self, text, times):
        made = SEPARATOR.join([text] * times)
        return {"text": made, "length": len(made)}
