"""What the host lends to plugins: the standard resources, the registry that holds them, and what a plugin sees."""

from __future__ import annotations

from dagstack_plugins.resources.blob_store import BlobNotFound, InMemoryBlobStore, MemoryBlobStore
from dagstack_plugins.resources.clock import FrozenClock, SystemClock
from dagstack_plugins.resources.lent import LentResources
from dagstack_plugins.resources.protocols import BlobStore, Clock, Rng, TempDir
from dagstack_plugins.resources.registry import ResourceRegistry
from dagstack_plugins.resources.rng import DeterministicRng, RandomRng
from dagstack_plugins.resources.tmpdir import ScopedTempDir

__all__ = [
    "BlobNotFound",
    "BlobStore",
    "Clock",
    "DeterministicRng",
    "FrozenClock",
    "InMemoryBlobStore",
    "LentResources",
    "MemoryBlobStore",
    "RandomRng",
    "ResourceRegistry",
    "Rng",
    "ScopedTempDir",
    "SystemClock",
    "TempDir",
]
