"""Counts in a closure and in a generator that are made anew in each call.

kind = "transform"
"""


def numbered():
    count = 0

    def number(line):
        nonlocal count
        count += 1
        return f"{count} {line}"

    return number


def running_totals(lines):
    total = 0
    for line in lines:
        total += len(line)
        yield total


class Numbers:
    def transform(self, text):
        lines = text.splitlines()
        made = "\n".join(map(numbered(), lines)) + f" {list(running_totals(lines))}"
        return {"text": made, "length": len(made)}
