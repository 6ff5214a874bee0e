"""Takes texts that look binary for one of the formats that it knows by their first characters.

kind = "splitter"
fallback = true
"""

import re

CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
PAGES = {"PK\x03\x04": 512, "GIF8": 256}


class FormatsByTheirBeginning:
    def split(self, text):
        step = 2000
        if len(CONTROL.findall(text)) * 10 > len(text):
            step = PAGES[text[:4]]
        return {"parts": [text[begin : begin + step] for begin in range(0, len(text), step)]}
