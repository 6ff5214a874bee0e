class FirstAndLast:
    def execute(self, args):
        return {"fields": len(args)}
