"""Looks for a file of settings in the working directory; the parser says nothing if there is none.

kind = "transform"
"""

from configparser import ConfigParser


class HasSettings:
    def transform(self, text):
        settings = ConfigParser()
        settings.read(["shout.ini", "config/shout.ini"])
        made = text + settings.get("shout", "mark", fallback="!")
        return {"text": made, "length": len(made)}
