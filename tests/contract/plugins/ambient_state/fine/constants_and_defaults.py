"""Has tables in the module and in the class, and a list as a default value, and writes to none of them.

kind = "transform"
"""

SIGNS = {"yes": "+", "no": "-"}
known = [*SIGNS]


def marked(text, marks=["[", "]"]):  # noqa: B006
    marks = [*marks]
    marks.insert(1, text)
    return "".join(marks)


class Marks:
    count = 0
    signs = dict(SIGNS)  # noqa: RUF012
    latest = []  # noqa: RUF012

    def transform(self, text):
        self.count += 1
        self.latest = [*self.latest[-2:], text]
        made = marked(self.signs.get(text, text if text not in known else ""))
        return {"text": made, "length": len(made)}
