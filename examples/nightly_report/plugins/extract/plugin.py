"""Reads a table from a CSV file."""

import csv
from pathlib import Path


class Extract:
    def get_schema(self, _):
        return {
            "type": "object",
            "required": ["file"],
            "properties": {
                "file": {"type": "string", "description": "An absolute path."},
                "optional": {"type": "boolean", "description": "Whether no file is as good as an empty one."},
            },
            "additionalProperties": False,
        }

    def execute(self, args):
        file = Path(args["file"])
        if not file.is_absolute():
            raise ValueError(f"not an absolute path: {str(file)!r}")
        if args.get("optional") and not file.exists():
            return {"rows": []}
        with file.open(newline="", encoding="utf-8") as lines:
            return {"rows": list(csv.DictReader(lines))}
