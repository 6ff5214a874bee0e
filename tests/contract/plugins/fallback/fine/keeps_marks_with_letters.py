"""Never cuts before a combining character, and still comes to an end in a text of nothing else.

kind = "chunker"
fallback = true
"""

import unicodedata


class KeepsMarksWithLetters:
    def chunk(self, text):
        chunks, begin = [], 0
        while begin < len(text):
            end = begin + 500
            while end < min(len(text), begin + 600) and unicodedata.combining(text[end]):
                end += 1
            chunks.append({"text": text[begin:end], "offset": begin})
            begin = end
        return chunks
