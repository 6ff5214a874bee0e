"""Has objects of its own whose methods are called connect, bind, fork and system.

kind = "transform"
"""


class Line:
    def __init__(self):
        self.ends = ()

    def connect(self, *ends):
        self.ends = ends
        return self

    def bind(self, function):
        return tuple(function(end) for end in self.ends)

    def fork(self):
        return Line().connect(*self.ends)

    def system(self, command):
        return command.join(self.bind(str.strip))


class Connects:
    def transform(self, text):
        line = Line().connect(text, text[:1])
        return {"text": line.fork().system(" "), "length": len(line.ends)}
