"""Keeps the last answer in the closure of a decorator.

kind = "transform"
"""

from functools import wraps


def remembered(function):
    last = []

    @wraps(function)
    def answer(text):
        if not last or last[0] != text:
            last[:] = [text, function(text)]
        return last[1]

    return answer


@remembered
def shout(text):
    return text.upper() + "!"


class Remembers:
    def transform(self, text):
        made = shout(text)
        return {"text": made, "length": len(made)}
