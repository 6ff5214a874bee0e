"""Answers with equal objects whose keys come in another order each time, as the union of two views is a set.

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
execute = [{}, {colour = "red", weight = 3}]
"""

DEFAULTS = {"colour": "blue", "weight": 1, "size": 2, "name": "", "place": "here", "state": "new"}


class Completes:
    def execute(self, args):
        return {name: args.get(name, DEFAULTS.get(name)) for name in DEFAULTS.keys() | args.keys()}
