"""Copies the rest of the text for each character that it cuts off, in a decorator that keeps the offsets.

kind = "chunker"
fallback = true
"""

import functools


def with_offsets(function):
    @functools.wraps(function)
    def wrapper(self, text):
        chunks, whole = [], len(text)
        while text:
            chunk = function(self, text)
            chunks.append({"text": chunk, "offset": whole - len(text)})
            text = text[len(chunk) :]
        return chunks

    return wrapper


class CutsOffTheRest:
    @with_offsets
    def chunk(self, text):
        return text[:1]
