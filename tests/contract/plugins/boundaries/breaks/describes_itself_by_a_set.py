"""Keeps all schemas where there are some, and hands out a set in the one hook that has none.

kind = "transform"
"""


class DescribesItselfByASet:
    def transform(self, text, times=1):
        return {"text": text * times, "length": len(text) * times}

    def describe(self):
        return {"repeats": True, "letters": {"any"}}
