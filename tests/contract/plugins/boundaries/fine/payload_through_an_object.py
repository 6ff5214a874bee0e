"""Reads the payload through an object that makes up attributes, and writes only to that.

kind = "transform"
"""


class Overlay:
    def __init__(self, payload):
        object.__setattr__(self, "own", {})
        object.__setattr__(self, "payload", payload)

    def __getattr__(self, name):
        return self.own[name] if name in self.own else self.payload[name]

    def __setattr__(self, name, value):
        self.own[name] = value


class PayloadThroughAnObject:
    def transform(self, payload):
        overlay = Overlay(payload)
        overlay.text = overlay.text.strip()
        overlay.times += 1
        return {"text": overlay.text * overlay.times}
