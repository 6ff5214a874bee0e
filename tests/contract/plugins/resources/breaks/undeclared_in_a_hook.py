"""Asks for an undeclared resource in a hook, by a name that it puts together, and swallows the refusal.

kind = "job"

[resources]
required = ["clock"]
"""

from contextlib import suppress


class AsksByName:
    def work(self, items, partition, ctx):
        store = None
        with suppress(Exception):
            store = ctx.resources.get("_".join(["blob", "store"]))
        year = ctx.resources.clock.now().year
        results = [f"{year} {partition} {item}" for item in items]
        return {"results": results, "count": len(results) if store is None else 0}
