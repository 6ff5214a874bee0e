"""Cuts the text after ten units of UTF-16, which leaves half of an astral character at the end.

kind = "transform"

[contract.examples]
transform = [{text = "123456789\\U0001F600"}]
"""


class HalfACharacter:
    def transform(self, text):
        units = text.encode("utf-16-le")
        return {"text": units[:20].decode("utf-16-le", "surrogatepass")}
