"""Takes one property by position only and the others by **rest, with the context in the middle.

kind = "job"
"""


class TakesTheRest:
    def work(self, items, /, context, **rest):
        told = f"{context.config.get('mark', '')}{rest['partition']}{rest.get('note', '')}"
        return {"results": [f"{told} {item}" for item in items], "count": len(items)}
