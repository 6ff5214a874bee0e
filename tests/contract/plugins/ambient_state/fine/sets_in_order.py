"""Works with sets, and lets their order show nowhere.

kind = "transform"
"""


class Sorts:
    def transform(self, text):
        words = set(text.split())
        longest = max(sorted(words), key=len, default="")
        made = f"{len(words)} {sum(map(len, words))} {longest} {' '.join(sorted(words))}"
        return {"text": made, "length": len(made)}
