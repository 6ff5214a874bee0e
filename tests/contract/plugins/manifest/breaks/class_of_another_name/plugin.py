class ClassOfNoName:
    def execute(self, args):
        return {"fields": len(args)}
