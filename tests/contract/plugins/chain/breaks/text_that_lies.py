"""Answers with a subclass of str that tells a length within the limit, and is longer.

kind = "cleaner"
"""


class Text(str):
    __slots__ = ()

    def __len__(self):
        return min(100, super().__len__())


class TextThatLies:
    def clean(self, text):
        cleaned = Text(" ".join(text))
        assert len(cleaned) <= 100
        return {"text": cleaned}
