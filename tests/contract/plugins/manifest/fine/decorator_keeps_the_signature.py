"""Wraps its hook in a decorator that takes *args, and says what it wraps.

kind = "transform"
"""

import functools


def stripped(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return {"text": function(*args, **kwargs).strip()}

    return wrapper


class DecoratorKeepsTheSignature:
    @stripped
    def transform(self, text, times=1):
        return text * times
