"""Uses id() to tell the nodes of a graph apart while a call lasts, and shows none of it.

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"

[contract.examples]
execute = [{a = {b = [1, {}]}, c = []}, {}]
"""


class CountsNodes:
    def execute(self, args):
        seen, left = {}, [args]
        while left:
            node = left.pop()
            if id(node) not in seen and isinstance(node, dict | list):
                seen[id(node)] = len(seen)
                left.extend(node.values() if isinstance(node, dict) else node)
        return {"nodes": len(seen)}
