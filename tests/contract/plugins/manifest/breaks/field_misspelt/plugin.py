class FieldMisspelt:
    def execute(self, args):
        return {"fields": len(args)}
