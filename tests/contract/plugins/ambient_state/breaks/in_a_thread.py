"""Reads the wall clock in a thread that the hook starts and waits for.

kind = "transform"
execution_model = "thread_cpu_bound"
"""

from datetime import UTC, datetime
from threading import Thread


class WorksAside:
    def setup(self, ctx):
        self.log = ctx.logger

    def _work(self, text, made):
        made.append(text.title())
        self.log.debug("made at %s", datetime.now(UTC))

    def transform(self, text):
        made = []
        worker = Thread(target=self._work, args=(text, made))
        worker.start()
        worker.join()
        return {"text": made[0], "length": len(made[0])}
