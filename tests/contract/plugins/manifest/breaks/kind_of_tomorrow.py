"""Was made for a minor version of its kind that is above the registered one.

kind = "transform"
kind_api_version = "1.1.0"
"""


class KindOfTomorrow:
    def transform(self, text):
        return {"text": text.swapcase()}
