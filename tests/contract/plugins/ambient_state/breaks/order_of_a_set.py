"""Picks the most frequent word; among equals the order of a set decides, another one in each process.

kind = "transform"

[contract.examples]
transform = {text = "ash birch cedar dogwood elm fir gingko hazel ivy juniper"}
"""


class Picks:
    def transform(self, text):
        words = text.split() or [""]
        made = max(set(words), key=words.count)
        return {"text": made, "length": len(made)}
