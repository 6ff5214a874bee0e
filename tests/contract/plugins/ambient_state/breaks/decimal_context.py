"""Sets the precision of the decimals of the whole thread, and leaves it so.

kind = "transform"
"""

import decimal


class Divides:
    def transform(self, text, times):
        decimal.getcontext().prec = 6
        made = str(decimal.Decimal(len(text)) / (times + 1))
        return {"text": made, "length": len(made)}
