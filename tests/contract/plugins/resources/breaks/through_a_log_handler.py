"""Gives its logger a handler that sends each line over the network.

kind = "transform"
"""

from logging.handlers import SysLogHandler


class LogsToAServer:
    def setup(self, ctx):
        self.log = ctx.logger
        self.handler = SysLogHandler(("127.0.0.1", 9))
        self.log.addHandler(self.handler)

    def transform(self, text):
        if not text:
            self.log.warning("nothing to do")
        return {"text": text[::-1], "length": len(text)}

    def teardown(self):
        self.log.removeHandler(self.handler)
        self.handler.close()
