"""Picks the most frequent word out of a set; it differs from run to run only where two are equally frequent.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
transform = [{text = "one one two"}, {text = "ash birch cedar dogwood elm fir gingko hazel ivy juniper"}]
"""


class Picks:
    def transform(self, text):
        words = text.split() or [""]
        made = max(set(words), key=words.count)
        return {"text": made, "length": len(made)}
