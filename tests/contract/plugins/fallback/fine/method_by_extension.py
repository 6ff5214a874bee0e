"""Calls a method whose name it makes of the extension, whatever that is, and splits plainly where there is none.

kind = "splitter"
fallback = true
"""


class MethodByExtension:
    def split(self, text, extension=""):
        method = getattr(self, f"split_{extension.lstrip('.').lower()}_text", self.split_any_text)
        return {"parts": method(text)}

    def split_any_text(self, text):
        return text.split("\n")

    def split_md_text(self, text):
        return text.split("\n#")
