"""Packs with gzip and zip, and gives both the time that they would else take from the machine.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import base64
import gzip
import io
import zipfile


class Packs:
    def transform(self, text):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo("text.txt", date_time=(1980, 1, 1, 0, 0, 0)), text)
        packed = gzip.compress(file.getvalue(), mtime=0)
        made = base64.b64encode(packed).decode()
        return {"text": made, "length": len(packed)}
