"""Drops repeated words by a dictionary, which keeps the order of the text; a set only says what was seen.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""


class Drops:
    def transform(self, text):
        seen, letters = set(), []
        for letter in text:
            if letter not in seen:
                seen.add(letter)
                letters.append(letter)
        made = " ".join(dict.fromkeys(text.split())) + " " + "".join(letters)
        return {"text": made, "length": len(made)}
