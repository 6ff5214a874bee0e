"""Tests that authors of parts of their own subclass: what every checkpoint store, and every orchestrator, must do."""

from dagstack_plugins.conformance.orchestrators import OrchestratorConformance
from dagstack_plugins.conformance.stores import CheckpointStoreConformance

__all__ = ["CheckpointStoreConformance", "OrchestratorConformance"]
