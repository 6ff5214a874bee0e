"""Has functions and variables called as if they read the environment, the clock or a file; they work on the payload.

kind = "transform"

[contract.examples]
transform = {text = "HOME=here open=yes time=now"}
"""


class Environment:
    def __init__(self, text):
        self.environ = dict(word.split("=", 1) for word in text.split() if "=" in word)

    def getenv(self, name, default=""):
        return self.environ.get(name, default)

    def open(self):
        return self.getenv("open", "no")


def time(os):
    return os.getenv("time")


class Misleads:
    def transform(self, text):
        os = Environment(text)
        made = os.getenv("HOME") + time(os) + os.open()
        return {"text": made, "length": len(made)}
