"""Hands out a bare number where any JSON is admitted, and a whole float where an integer is asked for.

kind = "transform"
"""


class DescribesItselfByANumber:
    def transform(self, text, times=1):
        return {"text": text * times, "length": float(len(text) * times)}

    def describe(self):
        return -0.5
