"""Changes the language with each pass, in the circle of those that are listed.

kind = "cleaner"
execution_model = "async"
"""

NEXT = {"en": "de", "de": "fr", "fr": "en"}


class AnotherLanguageEachTime:
    async def clean(self, text, language="fr"):
        return {"text": text[::-1], "language": await self.after(language)}

    async def after(self, language):
        return NEXT[language]
