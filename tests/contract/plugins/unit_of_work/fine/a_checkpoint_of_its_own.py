"""Saves and loads a thing of its own named checkpoint, which the host's store has no part in.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
"""


class Checkpoint:
    def __init__(self):
        self.states = {}

    def save(self, key, state):
        self.states[key] = state

    def load(self, key):
        return self.states.get(key)


class Accumulates:
    def work(self, items, partition):
        checkpoint = Checkpoint()
        results = []
        for item in items:
            checkpoint.save(partition, (checkpoint.load(partition) or "") + item)
            results.append(checkpoint.load(partition))
        return {"results": results, "count": len(results)}
