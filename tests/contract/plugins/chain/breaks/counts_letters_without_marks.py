"""Pads the text to a hundred letters, and does not count combining characters, which the schema counts.

kind = "cleaner"

[contract.examples]
clean = [{text = "plain"}, {text = "e\\u0301te\\u0301"}]
"""

import unicodedata


class CountsLettersWithoutMarks:
    def clean(self, text):
        width = sum(not unicodedata.combining(character) for character in text)
        return {"text": text + " " * (100 - width)}
