"""Gets its hook from a metaclass while the class is made."""


class Counting(type):
    def __new__(mcs, name, bases, space):
        space.setdefault("execute", lambda self, args: {self.word: len(args)})
        return super().__new__(mcs, name, bases, space)


class MetaclassMakesTheHook(metaclass=Counting):
    word = "fields"
