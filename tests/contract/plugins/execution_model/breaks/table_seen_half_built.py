"""Shows its table to other threads while the first call still fills it.

kind = "transform"
execution_model = "thread_cpu_bound"
"""


class FillsInPlace:
    def setup(self):
        self.numbers = None

    def transform(self, text):
        if self.numbers is None:
            self.numbers = {}
            for code in range(400):
                self.numbers[code] = sum(range(code, code + 10_000)) % 10
        return {"text": "".join(str(self.numbers.get(ord(letter) % 400, "")) for letter in text)}
