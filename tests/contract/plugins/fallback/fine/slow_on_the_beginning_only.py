"""Compares all lines with all others, but of the first hundred short ones only.

kind = "splitter"
fallback = true
"""


class SlowOnTheBeginningOnly:
    def split(self, text):
        lines = text[:2000].split("\n", 100)[:100]
        alike = sum(one.strip() == two.strip() for one in lines for two in lines) - len(lines)
        separator = "\n\n" if alike else "\n"
        return {"parts": text.split(separator, 5000)}
