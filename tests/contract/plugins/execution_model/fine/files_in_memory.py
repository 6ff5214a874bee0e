"""Opens, writes and reads files on the loop, but files that are only in memory.

kind = "transform"
execution_model = "async"
"""

import csv
import io


class WritesToMemory:
    async def transform(self, text):
        with io.StringIO() as file:
            csv.writer(file).writerow([text, len(text)])
            file.seek(0)
            line = file.read()
        with io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace") as file:
            length = file.write(line)
        return {"text": line.rstrip("\r\n"), "length": length}
