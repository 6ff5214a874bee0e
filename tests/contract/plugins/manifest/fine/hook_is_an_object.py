"""Has an object that can be called where others have a method.

kind = "transform"
"""


class Repeat:
    def __init__(self, filler):
        self.filler = filler

    def __call__(self, text, times=1):
        return {"text": self.filler.join([text] * times)}


class HookIsAnObject:
    transform = Repeat(" ")
