"""Makes numbers of texts that are the same everywhere: checksums, and a UUID by name.

kind = "transform"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

import hashlib
import json
import uuid
import zlib


class Checks:
    def transform(self, text, times):
        packed = json.dumps({"times": times, "text": text}, sort_keys=True).encode()
        made = f"{hashlib.blake2b(packed, digest_size=8).hexdigest()} {uuid.uuid5(uuid.NAMESPACE_OID, text)}"
        return {"text": f"{made} {zlib.crc32(packed)}", "length": len(made)}
