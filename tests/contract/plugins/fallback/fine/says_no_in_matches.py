"""Says in matches that no text fits it, which nobody asks a fallback, and takes them all.

kind = "splitter"
fallback = true
supports_extensions = [".txt"]
"""


class SaysNoInMatches:
    def matches(self, payload):
        return False

    def split(self, text):
        return {"parts": [line for line in text.split("\n") if line]}
