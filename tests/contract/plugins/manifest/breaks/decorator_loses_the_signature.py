"""Wraps its hook in a decorator that takes *args, and does not say what it wraps.

kind = "transform"
"""


def stripped(function):
    def wrapper(self, *args, **kwargs):
        return {"text": function(self, *args, **kwargs).strip()}

    return wrapper


class DecoratorLosesTheSignature:
    @stripped
    def transform(self, text, times=1):
        return text * times
