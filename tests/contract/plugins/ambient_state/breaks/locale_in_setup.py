"""Sets the locale of the whole process to the user's in setup, and leaves it so after its teardown.

kind = "transform"
"""

import locale


class SpeaksTheUsersLanguage:
    def setup(self, ctx):
        try:
            locale.setlocale(locale.LC_ALL, "")
        except locale.Error as error:
            ctx.logger.debug("no such locale: %s", error)
            locale.setlocale(locale.LC_ALL, "C.UTF-8")

    def transform(self, text):
        return {"text": text, "length": len(text)}
