"""Fixtures for authors of plugins; pytest finds them wherever this package is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

# Every pytest of an environment loads this module, so what a fixture needs is imported when it is asked for.
if TYPE_CHECKING:
    from dagstack_plugins import (
        DeterministicRng,
        FrozenClock,
        InMemoryBlobStore,
        PluginContext,
        ResourceRegistry,
        StubHttpClient,
    )


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """A clock that stands at the beginning of the year 2000 until a test moves it."""
    from dagstack_plugins import FrozenClock

    return FrozenClock()


@pytest.fixture
def deterministic_rng() -> DeterministicRng:
    """Random values that are the same in every run."""
    from dagstack_plugins import DeterministicRng

    return DeterministicRng(seed=0)


@pytest.fixture
def stub_http() -> Iterator[StubHttpClient]:
    """A client that answers as a test programs it; a request without an answer fails the test, be it swallowed."""
    from dagstack_plugins import StubHttpClient

    stub = StubHttpClient()
    yield stub
    stub.verify(unused=False)


@pytest.fixture
def memory_blobs() -> InMemoryBlobStore:
    """An empty blob store."""
    from dagstack_plugins import InMemoryBlobStore

    return InMemoryBlobStore()


@pytest.fixture
def plugin_resources(
    frozen_clock: FrozenClock,
    deterministic_rng: DeterministicRng,
    stub_http: StubHttpClient,
    memory_blobs: InMemoryBlobStore,
) -> Iterator[ResourceRegistry]:
    """The host's resources: all standard ones, with the parts for tests. Override it to register more."""
    from dagstack_plugins import ResourceRegistry

    resources = ResourceRegistry()
    resources.register("clock", frozen_clock)
    resources.register("rng", deterministic_rng)
    resources.register("http_client", stub_http)
    resources.register("blob_store", memory_blobs)
    yield resources
    resources.close()


@pytest.fixture
def plugin_context(plugin_resources: ResourceRegistry) -> Iterator[PluginContext]:
    """What ``setup`` is given: a context of one plugin, which may read all of ``plugin_resources``.

    A test sets its configuration by ``plugin_context.config = {…}``.
    """
    from dagstack_plugins import PluginContext, PluginManifest, PluginRegistry

    declared = {"required": plugin_resources.names()}
    manifest = {"name": "plugin", "kind": "test", "runtime": "in_process", "core_version": ">=0", "resources": declared}
    lent = plugin_resources.lend(PluginManifest.from_dict(manifest))
    registry = PluginRegistry(resource_registry=plugin_resources)
    yield PluginContext().for_plugin("test", "plugin", config={}, registry=registry, resources=lent)
    lent.release()
