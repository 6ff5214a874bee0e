"""Names as its partition key a property that one of its hooks requires and the other does not have.

kind = "transform"

[unit_of_work]
declared = true
partition_key = "text"
idempotency_mode = "input_hash"
content_hash = ["text", "times"]
"""


class Repeats:
    def transform(self, text, times):
        made = " ".join([text] * times)
        return {"text": made, "length": len(made)}

    def describe(self):
        return {"separator": " "}
