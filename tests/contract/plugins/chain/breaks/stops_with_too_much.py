"""Ends the chain with a value that is longer than any input may be, where all else that it returns fits.

kind = "cleaner"

[contract.examples]
clean = [{text = "short"}, {text = "a sentence that goes on for more than fifty characters, and then for some more"}]
"""

from dagstack_plugins import STOP_CHAIN


class StopsWithTooMuch:
    def clean(self, text):
        if len(text) > 50:
            return STOP_CHAIN.with_value({"text": f"{text} [{text[:50]}]"})
        return {"text": text.strip()}
