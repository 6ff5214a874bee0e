"""``resume``: a run that is killed at a checkpoint, and started again, ends as one pass does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from dagstack_plugins.checkpoints import FileCheckpoints
from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.progress import ListProgress
from dagstack_plugins.resources.blob_files import FileBlobStore


def run(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """One run of a hook, with checkpoints and blobs that outlive it; killed after some saves, if that is wanted."""
    subject, arguments = given
    kept = Path(arguments["kept"])
    store = Killing(kept, arguments["kill_after"])
    progress = ListProgress()
    blobs = FileBlobStore(kept / "blobs")
    stage = Stage(
        subject, scratch, checkpoints=store, progress=progress, resources={"blob_store": blobs}, given=kept / "given"
    )
    hook = arguments["hook"]
    if hook not in stage.hooks:
        return {"missing": True}
    with stage.running():
        outcome = stage.settled(stage.call(hook, stage.filled(arguments["payload"])).told())
        told = {"outcome": outcome, "blobs": asyncio.run(_contents(blobs))}
    percents = [event.percent for event in progress.events if event.percent is not None]
    return {**told, "saves": store.saves(), "asked": store.asked, "percents": percents}


async def _contents(blobs: FileBlobStore) -> dict[str, str]:
    return {key: hashlib.sha256(await blobs.get(key)).hexdigest() for key in await blobs.list("")}


class Killing(FileCheckpoints):
    """Checkpoints in files, which kill their process after a number of saves.

    Args:
        kept: the folder that outlives the process.
        kill_after: that number; ``None`` never kills.

    Attributes:
        asked: how often the plugin looked at what was saved.
    """

    def __init__(self, kept: Path, kill_after: int | None) -> None:
        super().__init__(kept / "checkpoints")
        self._log = kept / f"saves-{os.getpid()}"
        self._kill_after = kill_after
        self._count = 0
        self.asked = 0

    def save(self, scope: str, key: str, state: Any, expected: int | None = None) -> int:
        """Keep a state, and die if that was the one."""
        version = super().save(scope, key, state, expected)
        with self._log.open("a") as log:
            log.write(json.dumps([key, state]) + "\n")
        self._count += 1
        if self._count == self._kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return version

    def load(self, scope: str, key: str) -> tuple[Any, int]:
        """The state that was kept, and its version."""
        self.asked += 1
        return super().load(scope, key)

    def list(self, scope: str, prefix: str = "") -> Any:
        """The keys of the states that were kept."""
        self.asked += 1
        return super().list(scope, prefix)

    def saves(self) -> Any:
        """What this process saved, in order."""
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []
