"""Takes any integer for a size: those that make no sense, and those beyond all texts, become others.

kind = "chunker"
fallback = true
"""


class SizesOfAnySort:
    def chunk(self, text, max_size=None):
        size = 1000 if max_size is None or max_size < 1 else min(max_size, len(text) or 1)
        size = max(size, len(text) // 5000 + 1) if max_size is None else size
        return [{"text": text[begin : begin + size], "offset": begin} for begin in range(0, len(text), size)]
