"""Writes a page to where everybody sees it."""

from pathlib import Path


class Publish:
    def get_schema(self, _):
        return {
            "type": "object",
            "required": ["page"],
            "properties": {
                "page": {"type": "string"},
                "file": {"type": "string", "description": "An absolute path."},
            },
            "additionalProperties": False,
        }

    def execute(self, args):
        if "file" in args:
            file = Path(args["file"])
            if not file.is_absolute():
                raise ValueError(f"not an absolute path: {str(file)!r}")
            file.write_text(args["page"], encoding="utf-8")
        return {"file": args.get("file"), "characters": len(args["page"])}
