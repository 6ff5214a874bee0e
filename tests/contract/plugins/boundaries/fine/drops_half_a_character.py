"""Cuts the text after ten units of UTF-16, and drops what is left of a character that was cut.

kind = "transform"

[contract.examples]
transform = [{text = "123456789\\U0001F600"}]
"""


class DropsHalfACharacter:
    def transform(self, text):
        units = text.encode("utf-16-le")
        return {"text": units[:20].decode("utf-16-le", "ignore")}
