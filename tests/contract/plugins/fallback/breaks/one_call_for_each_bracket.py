"""Reads nested markup by functions that call each other, once for each level.

kind = "splitter"
fallback = true
"""

import re

MARK = re.compile(r"<[^<>]*>|[\[\]{}()]")


class OneCallForEachBracket:
    def split(self, text):
        self.parts, self.marks, self.text = [], MARK.finditer(text), text
        self.inside(0)
        return {"parts": [part for part in self.parts if part.strip()]}

    def inside(self, begin):
        for mark in self.marks:
            self.parts.append(self.text[begin : mark.start()])
            begin = mark.end()
            if mark[0] in "[{(" or mark[0][:1] == "<" and mark[0][1:2] != "/":
                begin = self.inside(begin)
            else:
                return begin
        self.parts.append(self.text[begin:])
        return len(self.text)
