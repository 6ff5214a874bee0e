"""Compresses with gzip, which writes the current time into the header unless it is told one.

kind = "transform"
"""

import gzip


class Weighs:
    def transform(self, text, times):
        packed = gzip.compress((text * times).encode())
        return {"text": text, "length": len(packed)}
