"""Sleeps and reads a file, but in a thread, which its coroutine function awaits.

kind = "transform"
execution_model = "async"
"""

import asyncio
import time
from pathlib import Path


class BlocksElsewhere:
    async def transform(self, text):
        return {"text": text + await asyncio.to_thread(self._last_line)}

    def _last_line(self):
        time.sleep(0.005)
        return Path(__file__).read_text(encoding="utf-8").splitlines()[-1].strip()
