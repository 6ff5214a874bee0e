class SaidTwice:
    def execute(self, args):
        return {"fields": len(args)}
