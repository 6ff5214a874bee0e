"""The version of this package, which manifests name in ``core_version``."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
