"""Lets threads race once, at its first setup, and takes their order over the line for the order of its answers.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from threading import Thread


class Races:
    def __init__(self):
        self.order = []

    def setup(self, ctx):
        if not self.order:
            runners = [Thread(target=self._run, args=(number,)) for number in range(8)]
            for runner in runners:
                runner.start()
            for runner in runners:
                runner.join()

    def _run(self, number):
        for _ in range(80_000 * (8 - number)):
            pass
        self.order.append(number)

    def transform(self, text):
        made = f"{self.order} {text}"
        return {"text": made, "length": len(made)}
