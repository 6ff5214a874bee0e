"""The work as units: what is handed in, in which order, and how it goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import attrs

from dagstack_plugins import UnitFailed
from listing import parted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from dagstack_plugins import PluginRegistry
    from folders import Folder, Output
    from listing import File
    from showing import Show

KIND, PLUGIN = "corpus_stages", "text"
STAGES: Final = {
    "hash": ("files.jsonl", "hashes.jsonl"),
    "extract": ("hashes.jsonl", "words.jsonl"),
    "index": ("words.jsonl", "index"),
}
"""The stages of a partition: what each reads, and what it makes."""
MERGE: Final = {"merge": ("parts", "index")}
"""The same of the stage after all of them."""
PATIENCE: Final = 5.0
"""Seconds until it is told that nobody works."""
MOST: Final = 1000
"""Units that are listed at once."""


class PipelineFailed(Exception):
    """There is no index; the message says why."""


@attrs.frozen
class Outcome:
    """What a run came to.

    Attributes:
        index: the index that was made.
        files: how many files are in it.
        words: how many words.
        left_out: how many files are not, for each reason.
        units: how many units of work that took.
        known: how many of them had been done before.
    """

    index: Path
    files: int
    words: int
    left_out: Mapping[str, int]
    units: int
    known: int


class Following:
    """Hands in the work, and follows it to its end.

    What was handed in before, by a run that was killed maybe, is not handed in again: it is the same plugin with the
    same arguments.

    Args:
        registry: the plugins, started.
        output: the folder of the index.
        every: files from checkpoint to checkpoint.
        show: hears how it goes.
    """

    def __init__(self, registry: PluginRegistry, output: Output, every: int, show: Show) -> None:
        self._units = registry.units
        self._output = output
        self._every = every
        self._show = show
        self._count = 0
        self._known: set[str] = set()
        self._is_worked_on = False

    async def __call__(self, files: Sequence[File], partitions: int) -> Outcome:
        """Do all of it.

        Args:
            files: the files, sorted by path.
            partitions: in how many parts.

        Raises:
            PipelineFailed: if anything failed.
        """
        parts, whole = self._folders(files, partitions)
        others = self._output.others([*parts, whole])
        self._cancel_those_of(others)
        steps = {(part.label, stage): count for part, count in parts.items() for stage in STAGES}
        self._show.begin({**steps, (whole.label, "merge"): len(files)})
        waiting = asyncio.create_task(self._tell_if_nobody_works())
        try:
            value = await self._done(list(parts), whole)
        finally:
            waiting.cancel()
        self._output.discard(others)
        index = whole.path / MERGE["merge"][1]
        return Outcome(index, value["files"], value["words"], value["left_out"], self._count, len(self._known))

    def _folders(self, files: Sequence[File], partitions: int) -> tuple[dict[Folder, int], Folder]:
        """The folders of the partitions, each with how many files it has, and the one of the whole."""
        parts = {
            self._output.folder(f"{number:02}", STAGES["hash"][0], [file.line for file in some]): len(some)
            for number, some in parted(files, partitions).items()
        }
        indexes = [f"../{part.name}/{STAGES['index'][1]}\n".encode() for part in parts]
        return parts, self._output.folder("all", MERGE["merge"][0], indexes)

    async def _done(self, parts: Sequence[Folder], whole: Folder) -> Any:
        """Do the stages of all partitions, side by side, and then the last one.

        That one is handed in only now: waiting for the others, it would keep a worker from them.
        """
        handed_in = [(part, self._handed_in(part, STAGES)) for part in parts]
        came_to = await asyncio.gather(*(self._one(*each) for each in handed_in), return_exceptions=True)
        failed = [error for error in came_to if isinstance(error, BaseException)]
        if not failed:
            try:
                return await self._one(whole, self._handed_in(whole, MERGE))
            except UnitFailed as error:
                failed = [error]
        for other in failed:
            if not isinstance(other, UnitFailed):
                raise other
        told = f"this failed; the same command tries it again (or begins anew, if you remove {self._output.work}):"
        raise PipelineFailed("\n  ".join([told, *map(str, failed)]))

    def _handed_in(self, folder: Folder, stages: Mapping[str, tuple[str, str]]) -> dict[str, str]:
        """Queue the stages of a partition; the ids of the units, by stage."""
        found = {}
        for stage, (source, target) in stages.items():
            args = {
                "partition": folder.name,
                "corpus": str(self._output.corpus),
                "source": str(folder.path / source),
                "target": str(folder.path / target),
                "made": folder.made,
                "every": self._every,
            }
            unit = self._units.submit(KIND, PLUGIN, stage, args)
            found[stage] = unit.unit_id
            self._count += 1
            if unit.deduplicated and self._units.status(unit.unit_id).state == "succeeded":
                self._known.add(unit.unit_id)
        return found

    async def _one(self, folder: Folder, units: Mapping[str, str]) -> Any:
        """Follow one partition; as its stages are done in their order, it is enough to look at one of them.

        Returns:
            What the last one came to.
        """
        value = None
        for stage, unit in units.items():
            try:
                value = await self._stage(folder, stage, unit)
            except UnitFailed as error:
                for later in units.values():  # they have nothing to begin with
                    self._units.cancel(later)
                raise UnitFailed(f"{stage} of {folder.label}: {error}") from None
        return value

    async def _stage(self, folder: Folder, stage: str, unit: str) -> Any:
        step = (folder.label, stage)
        if unit in self._known:
            self._show.skip(step)
        else:
            async for event in self._units.events(unit):
                self._is_worked_on |= event.state != "queued"
                self._show.tell(step, event)
        return self._units.result(unit)

    async def _tell_if_nobody_works(self) -> None:
        await asyncio.sleep(PATIENCE)
        if not self._is_worked_on:
            self._show.say("nobody works on it yet; it goes on as soon as there is a worker")

    def _cancel_those_of(self, partitions: Collection[str]) -> None:
        """Stop what was handed in for folders that are of no use any more, as files changed since."""
        for unit in [unit for unit in self._open() if unit.get("partition_key") in partitions]:
            self._units.cancel(unit["unit_id"])

    def _open(self) -> Iterator[Mapping[str, Any]]:
        """The plugin's units that wait or run."""
        after: dict[str, str] = {}
        while page := self._units.list(
            kind=KIND, plugin_name=PLUGIN, states=["queued", "running"], limit=MOST, **after
        ):
            yield from (unit.to_dict() for unit in page)
            after = {"after": page[-1].unit_id}
