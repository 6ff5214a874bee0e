"""Proofs that something keeps its contract, for those who write it."""

from __future__ import annotations

from dagstack_plugins.contract.blob_stores import blob_store_suite

__all__ = ["blob_store_suite"]
