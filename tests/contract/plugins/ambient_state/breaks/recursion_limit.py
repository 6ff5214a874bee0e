"""Raises the interpreter's recursion limit where a text nests deeply, and leaves it so.

kind = "transform"

[contract.examples]
transform = [{text = "((((((((((((a))))))))))))"}, {text = "((a)(b))"}]
"""

import sys


class Unnests:
    def _inner(self, text):
        return self._inner(text[1:-1]) if text[:1] == "(" and text[-1:] == ")" else text

    def transform(self, text):
        if text.count("(") > 10:
            sys.setrecursionlimit(max(sys.getrecursionlimit(), 5000))
        made = self._inner(text)
        return {"text": made, "length": len(made)}
