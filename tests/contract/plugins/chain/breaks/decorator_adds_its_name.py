"""Has a decorator that notes in the result which step made it.

kind = "cleaner"
"""

import functools


def noted(function):
    @functools.wraps(function)
    def wrapper(self, text):
        return {**function(self, text), "step": function.__name__}

    return wrapper


class DecoratorAddsItsName:
    @noted
    def clean(self, text):
        return {"text": " ".join(text.split())}
