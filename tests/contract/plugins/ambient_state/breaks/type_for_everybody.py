"""Adds a file type to the table that the mimetypes module keeps for the whole process.

kind = "transform"
"""

import mimetypes


class NamesTypes:
    def transform(self, text):
        mimetypes.add_type("text/x-shout", ".shout")
        made = f"{text}: {mimetypes.guess_type('a.shout')[0]}"
        return {"text": made, "length": len(made)}
