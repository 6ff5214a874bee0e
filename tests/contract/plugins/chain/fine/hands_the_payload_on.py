"""Hands on the very payload that it got, read but not changed.

kind = "cleaner"
"""


class HandsThePayloadOn:
    def setup(self, ctx):
        self.longest = 0

    def clean(self, payload):
        self.longest = max(self.longest, len(payload.text))
        return payload
