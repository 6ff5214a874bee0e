"""Ends the whole process, as if all were well, when a number is below zero."""

import math
import os


class EndsTheProcess:
    def get_schema(self):
        return {
            "type": "object",
            "required": ["number"],
            "properties": {"number": {"type": "integer", "minimum": -1000, "maximum": 1000}},
            "additionalProperties": False,
        }

    def execute(self, args):
        number = args["number"]
        if number < 0:
            os._exit(0)
        return {"root": math.isqrt(number)}
