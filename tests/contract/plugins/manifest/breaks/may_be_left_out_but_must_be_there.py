"""Takes a property that callers may leave out by a parameter without a default.

kind = "job"
"""


class MayBeLeftOutButMustBeThere:
    def work(self, items, note):
        return {"results": [f"{item} {note}" for item in items], "count": len(items)}
