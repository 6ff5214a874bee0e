"""Calls a parameter time where the property is times; its default hides that from the reader.

kind = "transform"
"""


class OneLetterLess:
    def transform(self, text, time=1):
        return {"text": text * time, "length": len(text) * time}
