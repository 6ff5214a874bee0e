"""Has a method beside the hook whose name is nearly that of an optional one, and which nobody calls.

kind = "transform"
"""


class NearlyAHook:
    def transform(self, text):
        return {"text": self.described(text)}

    def described(self, text, *parts, **more):
        yielded = [text, *parts, *more]
        return " ".join(yielded)
