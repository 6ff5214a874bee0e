"""Follows nested markup to any depth on a list, without calling itself, and minds neither too many ends nor too few.

kind = "splitter"
fallback = true
"""

import re

MARK = re.compile(r"</?[a-z]{1,20}>|[\[\]{}()]")


class StackOfItsOwn:
    def split(self, text):
        open_marks, parts, begin = [], [], 0
        for mark in MARK.finditer(text):
            if not open_marks:
                parts.append(text[begin : mark.start()])
                begin = mark.end()
            if mark[0].startswith(("</", "]", "}", ")")):
                del open_marks[-1:]
            else:
                open_marks.append(mark[0])
        return {"parts": [part for part in [*parts, text[begin:]] if part.strip()]}
