"""Keeps the text of a call in the instance while it works, so that calls in several threads mix them up.

kind = "transform"
execution_model = "thread_cpu_bound"
"""


class SharesABuffer:
    def setup(self):
        self.text = ""

    def transform(self, text):
        self.text = text
        for number in range(200_000):
            number * number
        return {"text": self.text, "length": len(self.text)}
