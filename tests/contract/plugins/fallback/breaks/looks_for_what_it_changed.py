"""Looks in the text for pieces of its normalised form, which are not there if normalising changed them.

kind = "chunker"
fallback = true
"""

import unicodedata


class LooksForWhatItChanged:
    def chunk(self, text):
        chunks, place = [], 0
        for line in filter(None, unicodedata.normalize("NFKC", text).splitlines()):
            place = text.index(line, place)
            chunks.append({"text": line, "offset": place})
        return chunks
