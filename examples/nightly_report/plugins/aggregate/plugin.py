"""Adds up amounts by a field."""


class Aggregate:
    def execute(self, args):
        totals = {}
        for row in args["rows"]:
            amount, count = totals.get(row[args["by"]], (0.0, 0))
            totals[row[args["by"]]] = amount + row["amount"], count + 1
        return {
            "groups": [
                {"name": name, "amount": round(amount, 2), "count": count}
                for name, (amount, count) in sorted(totals.items())
            ]
        }
