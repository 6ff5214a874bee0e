"""Says where the last space is, which is -1 where there is none, and less than the schema admits.

kind = "transform"
"""


class LengthBelowZero:
    def transform(self, text):
        end = text.rfind(" ")
        return {"text": text[:end], "length": end}
