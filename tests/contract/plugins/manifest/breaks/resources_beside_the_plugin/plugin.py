class ResourcesBesideThePlugin:
    def execute(self, args, ctx):
        return {"year": ctx.resources.clock.now().year}
