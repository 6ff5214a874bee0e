class ClassFromOutside:
    def execute(self, args):
        return {"fields": len(args)}
