from __future__ import annotations


class Newlines:
    def clean(self, text: str) -> dict[str, str]:
        return {"text": text.replace("\r\n", "\n").replace("\r", "\n")}
