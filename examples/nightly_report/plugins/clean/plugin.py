"""Keeps the orders that can be counted, and says why others can't."""

import re
from collections import Counter

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Clean:
    def execute(self, args):
        regions = {customer["id"]: customer["region"] for customer in args["customers"]}
        kept, reasons, seen = [], Counter(), set()
        for order in args["orders"]:
            order = {field: text.strip() for field, text in order.items()}
            reason = self.fault(order, regions, seen)
            if reason:
                reasons[reason] += 1
                continue
            seen.add(order["id"])
            month, amount = order["day"][:7], float(order["amount"])
            kept.append({"month": month, "region": regions[order["customer"]], "amount": amount})
        return {
            "rows": kept,
            "accepted": len(kept),
            "refused": reasons.total(),
            "reasons": [{"reason": reason, "count": count} for reason, count in reasons.most_common()],
        }

    def fault(self, order, regions, seen):
        if order["id"] in seen:
            return "it is there twice"
        if not DAY.fullmatch(order["day"]):
            return "the day is none"
        if order["customer"] not in regions:
            return "nobody knows the customer"
        try:
            return "the amount is below 0" if float(order["amount"]) < 0 else ""
        except ValueError:
            return "the amount is no number"
