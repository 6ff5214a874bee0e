from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

LONGEST_EXTENSION = 10


class TextIndexer:
    def index(self, path: str, text: str) -> dict[str, Any]:
        extension = PurePosixPath(path).suffix[1:].lower()
        known = extension.isalnum() and len(extension) <= LONGEST_EXTENSION
        return {
            "language": extension if known else "text",
            "symbols": [],
            "counts": {"word": len(text.split())},
        }
