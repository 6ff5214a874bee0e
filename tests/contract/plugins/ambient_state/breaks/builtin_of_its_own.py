"""Installs a translation for its texts while it is imported, as a new built-in function of all modules.

kind = "transform"
"""

import gettext

gettext.install("shout")


class Translates:
    def transform(self, text):
        made = _("Text: ") + text  # noqa: F821
        return {"text": made, "length": len(made)}
