"""Ends its answer with a word that it draws from the randomness that the host lends.

kind = "transform"

[resources]
required = ["rng"]

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
"""


class Draws:
    def transform(self, text, ctx):
        ending = ctx.resources.rng.choice(["indeed", "perhaps", "never", "always"])
        return {"text": f"{text}, {ending}"}
