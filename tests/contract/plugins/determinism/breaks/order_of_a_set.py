"""Joins the words of a set in the order in which the set gives them.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
transform = {text = "ash birch cedar dogwood elm fir gingko hazel ivy juniper"}
"""


class Joins:
    def transform(self, text):
        made = " ".join({word.lower() for word in text.split()})
        return {"text": made, "length": len(made)}
