"""How it goes: bars on a terminal, lines elsewhere; and what it came to."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from options import OUT, PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.progress import TaskID

    from dagstack_plugins import UnitEvent
    from folders import Output
    from following import Outcome

    Step = tuple[str, str]
    """A partition, and a stage of it."""


class Show(Protocol):
    """Hears how the work goes."""

    def begin(self, steps: Mapping[Step, int]) -> None:
        """What there is to do: how many files each step has."""

    def skip(self, step: Step) -> None:
        """A step had been done before."""

    def tell(self, step: Step, event: UnitEvent) -> None:
        """How a step is now."""

    def say(self, text: str) -> None:
        """Something else."""


@contextmanager
def showing() -> Iterator[Show]:
    """What shows how the work goes, on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=console, expand=True, transient=True) as bars:
        yield Bars(bars)


class Lines:
    """A line for each step that ends."""

    _steps: Mapping[Step, int]

    def begin(self, steps: Mapping[Step, int]) -> None:
        self._steps = steps

    def skip(self, step: Step) -> None:
        pass

    def tell(self, step: Step, event: UnitEvent) -> None:
        if event.state in ("queued", "running"):
            return
        ended = _counted(self._steps[step], "file") if event.state == "succeeded" else event.state
        again = f", begun {event.attempts} times" if event.attempts > 1 else ""
        self.say(f"{step[0]:<3}  {step[1]:<7}  {ended}{again}")

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Bars:
    """A bar for the whole, and one for each step that is at work.

    Args:
        bars: where they are drawn.
    """

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._steps: dict[Step, int] = {}
        self._done: dict[Step, float] = {}
        self._tasks: dict[Step, TaskID] = {}

    def begin(self, steps: Mapping[Step, int]) -> None:
        self._steps = dict(steps)
        self._whole = self._bars.add_task(
            "all", total=sum(steps.values()), said=_counted(steps["all", "merge"], "file")
        )

    def skip(self, step: Step) -> None:
        self._set(step, 1.0)

    def tell(self, step: Step, event: UnitEvent) -> None:
        percent = event.percent or 0.0
        if event.state == "running":
            if step not in self._tasks:
                self._tasks[step] = self._bars.add_task(" ".join(step), total=100, said="")
            self._bars.update(self._tasks[step], completed=percent, said=escape(event.message))
        elif step in self._tasks:
            self._bars.remove_task(self._tasks.pop(step))
        self._set(step, 1.0 if event.state == "succeeded" else percent / 100)

    def say(self, text: str) -> None:
        self._bars.console.print(escape(text), soft_wrap=True)

    def _set(self, step: Step, done: float) -> None:
        self._done[step] = done
        files = sum(some * self._steps[one] for one, some in self._done.items())
        self._bars.update(self._whole, completed=files)


def summary(outcome: Outcome, output: Output, *, is_new: bool, seconds: float) -> Iterator[str]:
    """What a run came to, in lines."""
    texts = f"{_counted(outcome.files, 'text')}, {_counted(outcome.words, 'word')}"
    if outcome.known == outcome.units and not is_new:
        yield f"nothing new: {texts}; all {outcome.units} units of work were done before"
    else:
        yield f"indexed {texts} in {seconds:.1f} s; {outcome.known} of {outcome.units} units of work were done before"
    if outcome.left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in outcome.left_out.items())
        yield f"left out: {reasons}; {_near(output.left_out)} has their names"
    where = [] if output.path == OUT.absolute() else ["--out", str(_near(output.path))]
    yield f"ask it: {PROGRAM} search {shlex.join([*where, 'WORD'])}"


def _near(path: Path) -> Path:
    """A path as it is written here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
