"""Fills in environment variables that the text names, word by word on an executor's threads.

kind = "transform"
execution_model = "thread_cpu_bound"

[contract.examples]
transform = [{text = "from $LANG to ${TZ}"}, {text = "at $HOME"}]
"""

import os.path
from concurrent.futures import ThreadPoolExecutor


class FillsIn:
    def transform(self, text):
        with ThreadPoolExecutor(2) as pool:
            made = " ".join(pool.map(os.path.expandvars, text.split(" ")))
        return {"text": made, "length": len(made)}
