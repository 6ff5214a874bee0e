"""Has a configuration that keeps its schema only once the folder has been filled in.

[config_schema]
type = "object"
required = ["folder"]
properties = {folder = {type = "string", pattern = "^/[^$]+$"}, limit = {type = "integer", default = 3}}
additionalProperties = false

[contract]
config = {folder = "${tmpdir}"}
"""


class ConfiguredFolder:
    def setup(self, ctx):
        self.named = ctx.config["folder"].rpartition("/")[2] != ""
        self.limit = ctx.config["limit"]

    def execute(self, args):
        return {"named": self.named, "names": sorted(args)[: self.limit]}
