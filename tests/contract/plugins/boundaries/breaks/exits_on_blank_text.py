"""Leaves by sys.exit where the text is not empty, but blank.

kind = "transform"

[contract.examples]
transform = [{text = "some words"}, {text = "   "}]
"""

import sys


def first_word(text):
    if text and not text.strip():
        sys.exit("nothing to do")
    return text.split(maxsplit=1)[0] if text else ""


class ExitsOnBlankText:
    def transform(self, text):
        return {"text": first_word(text)}
