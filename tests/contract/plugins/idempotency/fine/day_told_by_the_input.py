"""Reckons with dates, but with those of its input and not with today's.

[unit_of_work]
declared = true
idempotency_mode = "input_hash"
content_hash = ["day"]

[contract.examples]
execute = [{day = "2024-02-29"}, {day = "1999-12-31"}]
"""

from datetime import date, timedelta


class NextWeek:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["day"],
            "properties": {"day": {"type": "string", "format": "date"}},
            "additionalProperties": False,
        }

    def execute(self, args):
        day = date.fromisoformat(args["day"])
        return {"day": (day + timedelta(days=7)).isoformat(), "weekday": day.isoweekday()}
