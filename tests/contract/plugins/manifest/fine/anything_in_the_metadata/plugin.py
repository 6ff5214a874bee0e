class AnythingInTheMetadata:
    def execute(self, args):
        return {"fields": len(args)}
