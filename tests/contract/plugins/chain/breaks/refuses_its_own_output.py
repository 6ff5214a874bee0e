"""Quotes the text, and refuses texts that are quoted already, such as its own.

kind = "cleaner"
"""


class RefusesItsOwnOutput:
    def clean(self, text):
        if text.startswith("> "):
            raise ValueError("the text is quoted already")
        return {"text": f"> {text}"[:100]}
