"""Normalises the text by the library, which makes up to eighteen characters of one.

kind = "cleaner"

[contract.examples]
clean = [{text = "plain"}, {text = "\\uFDFA\\uFDFA\\uFDFA\\uFDFA\\uFDFA\\uFDFA"}]
"""

import unicodedata


class LigaturesAreResolved:
    def clean(self, text):
        return {"text": unicodedata.normalize("NFKC", text)[:1000]}
