"""Declares no unit of work and writes out all defaults, which sets nothing.

kind = "transform"

[unit_of_work]
declared = false
idempotency_mode = "none"
checkpointable = false
content_hash = []
"""


class Centres:
    def transform(self, text, times):
        return {"text": text.center(times)}
