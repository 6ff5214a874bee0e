"""Ends the chain with a value that is cut to a hundred characters and keeps to the listed languages.

kind = "cleaner"
"""

from dagstack_plugins import STOP_CHAIN


class StopsWithWhatFits:
    def clean(self, text, language="en"):
        if len(text) > 50:
            return STOP_CHAIN.with_value({"text": f"{text} [{text[:50]}]"[:100], "language": language})
        return {"text": text.strip()}
