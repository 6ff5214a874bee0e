from __future__ import annotations

import re

TERMINAL_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
END_OF_FILE = re.compile(r"\x1a\s*\Z")


class ControlChars:
    """Takes out what no reader means; a stray control character within code stays, so that it is found to be broken."""

    def clean(self, text: str) -> dict[str, str]:
        return {"text": END_OF_FILE.sub("", TERMINAL_ESCAPE.sub("", text))}
