"""Ends the chain without a value of its own, and otherwise doubles a text that is short enough.

kind = "cleaner"
"""

from dagstack_plugins import STOP_CHAIN


class StopsWithoutAValue:
    def clean(self, payload):
        if not payload.text or len(payload.text) > 50:
            return STOP_CHAIN
        return {**payload.to_dict(), "text": payload.text * 2}
