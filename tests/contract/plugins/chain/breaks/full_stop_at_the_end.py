"""Puts a full stop at the end, also where the text is as long as it may be already.

kind = "cleaner"
"""


class FullStopAtTheEnd:
    def clean(self, text):
        return {"text": text if text.endswith((".", "!", "?")) else text + "."}
