"""Escapes the text by html.escape, which makes five or six characters of one.

kind = "cleaner"

[contract.examples]
clean = [{text = "<b>short</b>"}, {text = "<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<"}]
"""

import html


class EscapesThroughALibrary:
    def clean(self, text):
        return {"text": html.escape(text)}
