"""Takes apart and joins relative paths, without a look at any file or folder.

kind = "transform"
"""

import os.path
from pathlib import Path, PurePosixPath


class TakesApart:
    def transform(self, text):
        place = Path("pages") / "a" / "index.html"
        stem, ending = os.path.splitext(text)  # noqa: PTH122
        made = os.path.normpath(os.path.join("docs", place.parent.name, stem + "x" + ending))  # noqa: PTH118
        made = str(PurePosixPath(made).with_suffix(place.suffix))
        return {"text": made, "length": len(made)}
