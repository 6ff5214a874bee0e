"""Writes numbers with separators and sorts words with accents, in ways that no locale changes.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
transform = {text = "zebra Äpfel apfel Zebra äpfel"}
"""

import unicodedata


def key(word):
    return unicodedata.normalize("NFKD", word).casefold(), word


class Writes:
    def transform(self, text):
        made = f"{len(text) * 1_000_000:,} {len(text) / 7:.3f} {' '.join(sorted(text.split(), key=key))}"
        return {"text": made, "length": len(made)}
