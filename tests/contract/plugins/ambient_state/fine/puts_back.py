"""Changes the decimal context, the warnings filters and a context variable, each within a block that puts it back.

kind = "transform"
"""

import decimal
import warnings
from contextvars import ContextVar

current = ContextVar("current", default="")


class PutsBack:
    def transform(self, text, times):
        token = current.set(text)
        try:
            with decimal.localcontext() as context, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                context.prec = 6
                made = f"{current.get()}{decimal.Decimal(len(text)) / (times + 1)}"
        finally:
            current.reset(token)
        return {"text": made, "length": len(made)}
