"""Puts a full stop at the end, in the place of the last character if need be.

kind = "cleaner"
"""


class FullStopWhereThereIsRoom:
    def clean(self, text):
        return {"text": text if text.endswith((".", "!", "?")) else text[:99] + "."}
