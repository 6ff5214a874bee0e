"""Registers its hook by a decorator that does not know it, and raises while the class is made."""

KNOWN = {"describe": "tool", "chunk": "chunker"}


def hook_of(kind):
    def mark(function):
        if KNOWN[function.__name__] != kind:
            raise ValueError(f"{function.__name__} is no hook of {kind}")
        return function

    return mark


class DecoratorRaisesAtImport:
    @hook_of("tool")
    def execute(self, args):
        return {"fields": len(args)}
