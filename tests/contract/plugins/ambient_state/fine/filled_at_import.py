"""Fills a table of the module and one of a class by decorators, all of it while it is imported.

kind = "transform"
"""

from functools import singledispatch

STEPS = {}


def step(function):
    STEPS[function.__name__] = function
    function.number = len(STEPS)
    return function


@step
def upper(text):
    return text.upper()


@step
def stripped(text):
    return text.strip()


@singledispatch
def told(value):
    return str(value)


@told.register
def _(value: int):
    return f"{value:,}"


class Steps:
    def transform(self, text):
        for function in STEPS.values():
            text = f"{told(function.number)} {function(text)}"
        return {"text": text, "length": len(text)}
