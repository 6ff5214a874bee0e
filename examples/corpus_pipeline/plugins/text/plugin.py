from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .extracting import extract
from .hashing import hash_files
from .indexing import index, merge
from .pieces import Job

if TYPE_CHECKING:
    from dagstack_plugins import PluginContext


class Text:
    def hash(self, payload: Any, ctx: PluginContext) -> dict[str, Any]:
        return hash_files(_job(payload, ctx))

    def extract(self, payload: Any, ctx: PluginContext) -> dict[str, Any]:
        return extract(_job(payload, ctx))

    def index(self, payload: Any, ctx: PluginContext) -> dict[str, Any]:
        return index(_job(payload, ctx))

    def merge(self, payload: Any, ctx: PluginContext) -> dict[str, Any]:
        return merge(_job(payload, ctx))


def _job(payload: Any, ctx: PluginContext) -> Job:
    corpus, source, target = map(Path, (payload.corpus, payload.source, payload.target))
    for path in (corpus, source, target):
        if not path.is_absolute():
            raise ValueError(f"{path} is no absolute path on this system")
    return Job(corpus, source, target, payload.every, ctx)
