"""Extend an application with plugins it has never seen, safely and fast.

A kind of plugin is declared once, in YAML with JSON Schemas. Plugins are folders or packages with a small manifest. A
``PluginRegistry`` finds them, starts them, lends them resources, and routes each call to the right one.

The public names are those of ``dir(dagstack_plugins)``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from dagstack_plugins import version

__version__ = version.VERSION

_NAMES = {
    "calls": (
        "Call",
        "STOP_CHAIN",
    ),
    "checkpoints": (
        "Checkpoint",
        "CheckpointStore",
        "FileCheckpoints",
        "MemoryCheckpoints",
    ),
    "checkpoints_postgres": ("PostgresCheckpoints",),
    "checkpoints_sqlite": ("SqliteCheckpoints",),
    "context": ("PluginContext",),
    "contract.assertions": (
        "assert_chain_compatible",
        "assert_deterministic",
        "assert_execution_model",
        "assert_fallback_robust",
        "assert_idempotent",
        "assert_json_serializable_boundaries",
        "assert_lifecycle_clean",
        "assert_manifest_valid",
        "assert_no_ambient_state",
        "assert_resources_injected",
        "assert_resumable",
        "assert_unit_of_work",
    ),
    "contract.results": (
        "CheckResult",
        "CheckStatus",
        "SuiteResult",
    ),
    "contract.suite": (
        "ALL_CHECKS",
        "run_contract_suite",
    ),
    "contract.violations": (
        "AmbientStateViolation",
        "ChainViolation",
        "ContractViolation",
        "DeterminismError",
        "ExecutionModelViolation",
        "FallbackViolation",
        "IdempotencyViolation",
        "LeakDetected",
        "LifecycleViolation",
        "ManifestViolation",
        "NotProven",
        "ResourceViolation",
        "ResumeViolation",
        "SerializationError",
        "UnitOfWorkViolation",
    ),
    "discovery.folders": ("DEFAULT_IGNORE",),
    "dispatch.broadcast": (
        "BroadcastCollectDispatcher",
        "BroadcastNotifyDispatcher",
        "Collected",
    ),
    "dispatch.capability": ("CapabilityDispatcher",),
    "dispatch.chain": ("ChainDispatcher",),
    "dispatch.proxy": ("Proxy",),
    "dispatch.routing": (
        "RoutingPolicy",
        "RoutingRequest",
    ),
    "dispatch.singleton": ("SingletonDispatcher",),
    "errors": (
        "AmbiguousPlugin",
        "BroadcastErrors",
        "CheckpointConflict",
        "DependencyCycle",
        "DispatchMismatch",
        "Fault",
        "HookUnknown",
        "HookspecInvalid",
        "KindUnknown",
        "LockInvalid",
        "ManifestInvalid",
        "NoCapabilityMatch",
        "PayloadInvalid",
        "PluginError",
        "PluginLoadError",
        "PluginRegistryError",
        "PluginUnavailable",
        "PluginUntrusted",
        "ResourceUndeclared",
        "RuntimeNotSupported",
        "TeardownErrors",
        "UnitCancelled",
        "UnitFailed",
        "UnitRefused",
        "UnitUnknown",
        "VersionIncompatible",
    ),
    "kinds.compile": ("hookimpl",),
    "kinds.hookspec_class": ("HookSpec",),
    "kinds.model": ("Dispatch",),
    "kinds.payload": ("Payload",),
    "kinds.payloads": ("PayloadTypes",),
    "lock": (
        "LockedPlugin",
        "PluginLock",
    ),
    "manifest": (
        "PluginManifest",
        "load_manifest",
    ),
    "middleware.timing": ("TimingMiddleware",),
    "middleware.tracing": ("TracingMiddleware",),
    "plugin": (
        "PluginState",
        "PluginStatus",
    ),
    "progress": (
        "ListProgress",
        "LogProgress",
        "NoProgress",
        "Progress",
        "ProgressEvent",
        "ProgressSink",
    ),
    "progress_buffer": ("BufferedProgress",),
    "progress_rich": ("RichProgress",),
    "progress_sse": ("SseProgress",),
    "registry": ("PluginRegistry",),
    "resources.blob_files": ("FileBlobStore",),
    "resources.blob_memory": (
        "InMemoryBlobStore",
        "MemoryBlobStore",
    ),
    "resources.blob_s3": ("S3BlobStore",),
    "resources.blob_store": (
        "BlobNotFound",
        "BlobStoreError",
    ),
    "resources.clock": (
        "FrozenClock",
        "SystemClock",
    ),
    "resources.http": (
        "HttpError",
        "HttpTimeout",
    ),
    "resources.http_client": ("HttpxClient",),
    "resources.http_stub": (
        "HttpCall",
        "StubHttpClient",
        "UnexpectedRequest",
    ),
    "resources.lent": ("LentResources",),
    "resources.metering": ("Metering",),
    "resources.protocols": (
        "BlobStore",
        "Clock",
        "GoesToWorkers",
        "HttpClient",
        "HttpResponse",
        "Rng",
        "TempDir",
    ),
    "resources.rate_limit": (
        "RateLimit",
        "RateLimited",
    ),
    "resources.registry": ("ResourceRegistry",),
    "resources.rng": (
        "DeterministicRng",
        "RandomRng",
    ),
    "resources.tmpdir": (
        "DirectoryResource",
        "ScopedTempDir",
    ),
    "submission": (
        "Submitted",
        "UnitEvent",
        "Units",
    ),
    "units.celery": ("CeleryOrchestrator",),
    "units.chosen": ("orchestrator",),
    "units.local": ("LocalOrchestrator",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    # A name costs its import when it is first touched (PEP 562): importing the package alone costs next to nothing.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
