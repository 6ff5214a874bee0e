"""Raises and even exits on all sorts of texts, and catches all of it in a decorator.

kind = "chunker"
fallback = true
"""

import functools
import unicodedata


def whole_if_it_fails(function):
    @functools.wraps(function)
    def wrapper(self, text):
        try:
            return function(self, text)
        except (Exception, SystemExit):
            return [{"text": text, "offset": 0}]

    return wrapper


class RaisesAndCatches:
    @whole_if_it_fails
    def chunk(self, text):
        if len(text) > 10_000:
            raise SystemExit("too long")
        names = {unicodedata.name(character) for character in text}
        end = text.index("SPACE" in names and " " or text[0], 1)
        return [{"text": text[:end], "offset": 0}, {"text": text[end:], "offset": end}]
