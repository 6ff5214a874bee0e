"""Works with a dictionary full of notes, and takes them out before it answers.

kind = "cleaner"
"""

NOTES = ("before", "changed")


class TakesItsNotesAway:
    def clean(self, payload):
        result = {**payload.to_dict(), "before": payload.text}
        result["text"] = payload.text.strip()
        result["changed"] = result["text"] != result["before"]
        if result["changed"] and not result["text"]:
            result["text"] = "(blank)"
        return {key: value for key, value in result.items() if key not in NOTES}
