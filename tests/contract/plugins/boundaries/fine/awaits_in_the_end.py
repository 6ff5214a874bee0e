"""Hands coroutines from function to function, and awaits the last of them.

execution_model = "async"
"""

import functools


def labelled(function):
    @functools.wraps(function)
    async def wrapper(self, args):
        return {"label": function.__name__, **await function(self, args)}

    return wrapper


class AwaitsInTheEnd:
    def count(self, args):
        return self.later(args)

    async def later(self, args):
        return len(args)

    @labelled
    async def execute(self, args):
        return {"fields": await self.count(args)}
