from __future__ import annotations


class StripBom:
    def clean(self, text: str) -> dict[str, str]:
        return {"text": text.removeprefix("\ufeff")}
