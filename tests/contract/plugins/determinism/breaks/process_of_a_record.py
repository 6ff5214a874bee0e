"""Takes the number of its process from a log record that nobody logs.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import logging


class Records:
    def transform(self, text):
        made = f"{logging.makeLogRecord({}).process}: {text}"
        return {"text": made, "length": len(made)}
