"""Normalises the text, and cuts what is too long, which can leave marks without their letters, but no more than fit.

kind = "cleaner"

[contract.examples]
clean = [{text = "\\uFDFA\\uFDFA\\uFDFA\\uFDFA\\uFDFA\\uFDFA"}]
"""

import unicodedata


class LigaturesAreResolvedWhereTheyFit:
    def clean(self, text):
        return {"text": unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text)[:100])[:100]}
