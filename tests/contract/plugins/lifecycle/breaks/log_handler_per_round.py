"""Gives its logger another handler in each setup, and closes it in teardown without removing it.

kind = "cleaner"
"""

import logging


class Collects(logging.Handler):
    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


class KeepsItsLog:
    def setup(self, ctx):
        self.handler = Collects()
        ctx.logger.addHandler(self.handler)

    def clean(self, text):
        return {"text": text.strip(), "language": "en"}

    def teardown(self):
        self.handler.close()
