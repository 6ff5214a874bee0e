"""Has a hook whose decorator starts a program before each call.

kind = "transform"
"""

import functools
import os


def announced(method):
    @functools.wraps(method)
    def call(self, text):
        process = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(process, 0)
        return method(self, text)

    return call


class Announced:
    @announced
    def transform(self, text):
        return {"text": text.lstrip(), "length": len(text.lstrip())}
