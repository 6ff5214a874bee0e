"""Makes the standard output of the whole process lenient, where it has to print something strange.

kind = "transform"
"""

import sys


class MayPrint:
    def transform(self, text):
        if not text.isascii() and hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        return {"text": text, "length": len(text)}
