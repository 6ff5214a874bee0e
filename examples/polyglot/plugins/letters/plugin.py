"""Words are runs of letters; plain Python, in the host's process."""

import re


class Letters:
    def words(self, text):
        if not text.strip():
            raise ValueError("there is nothing to split")
        return {"words": re.findall(r"[^\W\d_]+", text)}
