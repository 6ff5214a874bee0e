def counted(args):
    return {"fields": len(args)}
