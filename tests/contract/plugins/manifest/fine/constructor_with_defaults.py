"""Has a constructor full of parameters, none of which is needed."""


class ConstructorWithDefaults:
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, separator=", ", *words, limit=None, **options):
        self.separator = separator
        self.limit = limit

    def execute(self, args):
        return {"names": self.separator.join(sorted(args)[: self.limit])}
