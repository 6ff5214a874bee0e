"""Gives the language a region where it is French, which the next plugin's schema does not list.

kind = "cleaner"

[contract.examples]
clean = [{text = "bonjour", language = "fr"}]
"""

REGIONS = {"fr": "fr-CA"}


class LanguageWithARegion:
    def clean(self, text, language="en"):
        return {"text": text, "language": REGIONS.get(language, language)}
