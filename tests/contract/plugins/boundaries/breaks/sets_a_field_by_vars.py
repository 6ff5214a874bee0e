"""Writes to the payload object by a function that sets whatever attributes it is told to.

kind = "transform"

[contract.examples]
transform = [{text = "  words  ", times = 2}]
"""


def update(target, **fields):
    for name, value in fields.items():
        setattr(target, name, value)
    return target


class SetsAFieldByVars:
    def transform(self, payload):
        update(payload, text=payload.text.strip())
        return {"text": payload.text * payload.times}
