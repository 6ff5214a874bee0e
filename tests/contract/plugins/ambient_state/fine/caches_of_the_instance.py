"""Remembers answers and counts calls in its own attributes, which setup makes anew.

kind = "transform"
"""

from collections import OrderedDict
from itertools import count
from threading import Lock


class Remembers:
    def setup(self, ctx):
        self.log = ctx.logger
        self.answers, self.numbers, self.lock = OrderedDict(), count(1), Lock()

    def transform(self, text):
        with self.lock:
            self.log.debug("call %d", next(self.numbers))
            if text not in self.answers:
                self.answers[text] = text.upper() + "!"
                if len(self.answers) > 16:
                    self.answers.popitem(last=False)
            made = self.answers[text]
        return {"text": made, "length": len(made)}
