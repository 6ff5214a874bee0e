"""Defines its base class beside it, which has the hook as well, so that nobody knows which one is meant."""


class Plain:
    def execute(self, args):
        return {"names": sorted(args)}


class BaseClassHasTheHookToo(Plain):
    def execute(self, args):
        return {**super().execute(args), "count": len(args)}
