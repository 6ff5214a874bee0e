"""Changes a method of a class of Python's so that its own settings keep their case, and with them everybody's.

kind = "transform"
"""

import configparser


class ReadsSettings:
    def transform(self, text):
        configparser.RawConfigParser.optionxform = staticmethod(str)
        settings = configparser.ConfigParser()
        settings.read_dict({"Text": {"Length": str(len(text))}})
        made = " ".join(f"{name}={value}" for name, value in settings["Text"].items())
        return {"text": made, "length": len(made)}
