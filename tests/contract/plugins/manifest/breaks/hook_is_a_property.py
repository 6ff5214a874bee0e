"""Has a property that hands out a function, where a method of that name is asked for.

kind = "transform"
"""


class HookIsAProperty:
    @property
    def transform(self):
        def shout(text, times=1):
            return {"text": text.upper() * times}

        return shout
