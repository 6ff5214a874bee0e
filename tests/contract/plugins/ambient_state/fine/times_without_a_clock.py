"""Calls functions that could read the clock or the zone, and gives them all that they would look for.

kind = "transform"

[contract.examples]
transform = [{text = "2024-02-29T12:00:00+01:00"}, {text = "2024-02-29"}]
"""

import time
from datetime import UTC, datetime


class Parses:
    def transform(self, text):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.astimezone(UTC).timestamp()
        made = f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(seconds))} {datetime.fromtimestamp(seconds, UTC)}"
        return {"text": made, "length": len(made)}
