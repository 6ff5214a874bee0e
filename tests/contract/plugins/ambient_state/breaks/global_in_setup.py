"""Puts its logger into a variable of the module in setup, and takes it out in teardown.

kind = "transform"
"""

log = None


def shout(text):
    log.debug("shouting")
    return text.upper() + "!"


class Lends:
    def setup(self, ctx):
        global log
        log = ctx.logger

    def transform(self, text):
        made = shout(text)
        return {"text": made, "length": len(made)}

    def teardown(self):
        global log
        log = None
