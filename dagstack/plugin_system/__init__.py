"""The names of ``dagstack_plugins``, under the import path that its first documents show."""

from __future__ import annotations

from typing import Any

import dagstack_plugins

__all__ = list(dagstack_plugins.__all__)


def __getattr__(name: str) -> Any:
    return getattr(dagstack_plugins, name)
