"""Adds a field to the payload that the next plugin does not take, but only where it changed something.

kind = "cleaner"

[contract.examples]
clean = [{text = "clean"}, {text = " unclean "}]
"""


class SaysWhatItChanged:
    def clean(self, payload):
        result = payload.to_dict()
        stripped = payload.text.strip()
        if stripped != payload.text:
            result.update(text=stripped, before=payload.text)
        return result
