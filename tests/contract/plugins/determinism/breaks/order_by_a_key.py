"""Sorts words by length and, in a second place, by what hash says.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
transform = {text = "ash elm fir ivy oak yew bay box fig gum"}
"""


class Ranks:
    keys = (len, hash)

    def transform(self, text):
        made = " ".join(sorted(text.split(), key=lambda word: [key(word) for key in self.keys]))
        return {"text": made, "length": len(made)}
