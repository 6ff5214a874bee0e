"""Units of work on Celery: as many machines as there are workers, with Redis between them.

``celery -A dagstack_plugins.units.celery worker`` is a worker.
"""

from __future__ import annotations

from typing import Any

from dagstack_plugins.units.celery.orchestrator import CeleryOrchestrator

__all__ = ["CeleryOrchestrator", "worker_app"]


def __getattr__(name: str) -> Any:
    # Who only hands units in must not need what makes a worker; who looks at this module must not need Celery.
    if name == "worker_app":
        from dagstack_plugins.units.celery.worker import worker_app

        return worker_app
    if name == "app":
        from dagstack_plugins.units.celery.worker import app_of_environment

        globals()[name] = found = app_of_environment()
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
