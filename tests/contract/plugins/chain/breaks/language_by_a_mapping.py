"""Answers with a mapping that guesses the language when it is asked for it, and says und where it can't.

kind = "cleaner"
"""

from collections.abc import Mapping


class Guessed(Mapping):
    def __init__(self, text):
        self.text = text

    def __getattr__(self, name):
        letters = {"de": "äöüß", "fr": "éèçœ"}
        return next((code for code in letters if set(letters[code]) & set(self.text)), "und")

    def __getitem__(self, key):
        return getattr(self, key)

    def __iter__(self):
        return iter(("text", "language"))

    def __len__(self):
        return 2


class LanguageByAMapping:
    def clean(self, text):
        return Guessed(text)
