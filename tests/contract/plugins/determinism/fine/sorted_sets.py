"""Works with sets; what it tells of them is sorted, or doesn't depend on their order.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class Sorts:
    def transform(self, text):
        words = set(text.split())
        shared = words & {"a", "the", "of"}
        made = f"{len(words)} {sum(len(word) for word in words)} {min(words, default='')} {sorted(words - shared)}"
        return {"text": made, "length": len(made)}
