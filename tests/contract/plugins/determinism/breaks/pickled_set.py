"""Tells a checksum of a pickled set, in which the order of the set is hidden.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
transform = {text = "ash birch cedar dogwood elm fir gingko hazel ivy juniper"}
"""

import hashlib
import pickle


class Checks:
    def transform(self, text):
        made = hashlib.sha256(pickle.dumps(frozenset(text.split()), protocol=4)).hexdigest()
        return {"text": made, "length": len(made)}
