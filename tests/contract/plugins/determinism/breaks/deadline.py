"""Gives up after five seconds by a counter of the system's, so that a busy machine shortens its answers.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from time import perf_counter_ns as ticks


class GivesUp:
    def transform(self, text, times):
        until, made = ticks() + 5_000_000_000, ""
        for _ in range(times):
            if ticks() > until:
                break
            made += text
        return {"text": made, "length": len(made)}
