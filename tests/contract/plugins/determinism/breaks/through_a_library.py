"""Makes a message's identifier in its constructor, of the time, the process and a random number.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from email.utils import make_msgid


class Posts:
    def __init__(self):
        self.thread = make_msgid(domain="example.org")

    def transform(self, text):
        made = f"In-Reply-To: {self.thread}\n\n{text}"
        return {"text": made, "length": len(made)}
