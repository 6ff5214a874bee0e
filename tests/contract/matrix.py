"""Plant every fault of ``mutants.py`` in every fine plugin, and write down which of them the suite sees.

    python tests/contract/matrix.py [--jobs N] [--only OPERATOR] [--sample N] [--seed N] [--output FILE]

Each mutant is run through the one check that must see its fault; each plugin as it is, through all checks.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import attrs

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
sys.path.insert(0, str(HERE))

from conftest import KINDS, materialised  # noqa: E402
from mutants import OPERATORS, Mutant, Operator, Specimen  # noqa: E402

from dagstack_plugins import CheckResult, ManifestInvalid, SuiteResult, run_contract_suite  # noqa: E402

REPORT: Final = ROOT / "docs" / "contract-matrix.md"


@attrs.frozen
class Place:
    """Where a plugin lies.

    Attributes:
        name: what it is called in reports.
        source: its file or folder.
        kinds: where its kind is declared.
    """

    name: str
    source: Path
    kinds: Path

    def copy_to(self, folder: Path) -> Path:
        """Its folder, made anew."""
        return materialised(self.source, folder)

    def specimen(self) -> Specimen | None:
        """What faults can be planted in."""
        with tempfile.TemporaryDirectory() as scratch:
            return Specimen.of(self.copy_to(Path(scratch)), self.name, [self.kinds])


def places() -> list[Place]:
    """All fine plugins, then those of the examples."""
    fine = [
        Place(f"{path.parent.parent.name}/{path.stem}", path, KINDS)
        for path in sorted((HERE / "plugins").glob("*/fine/*"))
        if path.suffix == ".py" or (path / "dagstack.toml").exists()
    ]
    examples = [
        Place(f"examples/{manifest.parent.name}", manifest.parent, _kinds_of(manifest.parents[2]))
        for manifest in sorted((ROOT / "examples").glob("*/plugins/*/dagstack.toml"))
    ]
    return fine + examples


def _kinds_of(example: Path) -> Path:
    """Where an example's kinds are declared: those that are always there, if it has none of its own."""
    own = example / "kinds"
    return own if own.exists() else ROOT / "hookspecs"


def mutants_of(found: Iterable[Place], operators: Iterable[Operator]) -> list[tuple[Place, Mutant]]:
    """Every operator on every plugin that it fits."""
    wanted = list(operators)
    specimens = [(place, specimen) for place in found if (specimen := place.specimen()) is not None]
    return [
        (place, mutant)
        for place, specimen in specimens
        for one in wanted
        if (mutant := one.apply(specimen)) is not None
    ]


def rank(name: str, seed: int = 0) -> bytes:
    """Puts names into an order that means nothing, and is the same on each machine and in each process."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


# --- running ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Seen:
    """What the suite said.

    Attributes:
        place: the plugin.
        mutant: its mutant; ``None`` for the plugin as it is.
        caught: whether the fault was seen.
        told: what was said.
        failed: the checks that failed, each with what it said.
    """

    place: Place
    mutant: Mutant | None
    caught: bool
    told: str
    failed: dict[str, str] = attrs.field(factory=dict)


def run(job: tuple[Place, Mutant | None]) -> Seen:
    """Run one mutant through its check, or one plugin through all."""
    place, mutant = job
    with tempfile.TemporaryDirectory() as scratch:
        folder = place.copy_to(Path(scratch))
        if mutant is None:
            return _plain(place, run_contract_suite(manifest=folder, hookspecs=[place.kinds]))
        mutant.write(folder)
        try:
            result = run_contract_suite(manifest=folder, hookspecs=[place.kinds], checks=[mutant.check])
        except ManifestInvalid as error:
            return Seen(place, mutant, caught=True, told=f"ManifestInvalid: {error}")
    return _mutated(place, mutant, result)


def _mutated(place: Place, mutant: Mutant, result: SuiteResult) -> Seen:
    failed = [one for one in result if one.status == "failed"]
    told = "; ".join(_words(one) for one in failed or result)
    return Seen(place, mutant, bool(failed), told)


def _plain(place: Place, result: SuiteResult) -> Seen:
    failed = {one.check: _words(one) for one in result if one.status == "failed"}
    return Seen(place, None, caught=False, told="", failed=failed)


def _words(one: CheckResult) -> str:
    finding = one.violations[0].finding.told if one.violations else one.reason
    return f"{one.label} {one.status}" + (f": {finding.splitlines()[0]}" if finding else "")


def run_all(jobs: Sequence[tuple[Place, Mutant | None]], workers: int) -> Iterator[Seen]:
    """Run them, and say now and then how far it is."""
    begun = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for number, seen in enumerate(pool.map(run, jobs), 1):
            if number % 50 == 0 or number == len(jobs):
                print(f"{number}/{len(jobs)} after {time.monotonic() - begun:.0f} s", flush=True)  # noqa: T201
            if seen.mutant is not None and not seen.caught:
                print(f"missed: {seen.mutant.name}: {seen.told}", flush=True)  # noqa: T201
            for told in seen.failed.values():
                print(f"false alarm: {seen.place.name}: {told}", flush=True)  # noqa: T201
            yield seen


# --- the report -------------------------------------------------------------------------------------------------------

INTRODUCTION: Final = """\
# What the contract suite sees

A suite that never fails proves nothing. This page is made by a script, which takes plugins that keep the contract,
plants one fault in each of them, in one place, and looks whether the check that is there for such faults fails:

```bash
python tests/contract/matrix.py --jobs 2
```

The plugins are those that the suite's own tests hold for fine, and those of the examples. Faults are planted by
[operators](../tests/contract/mutants.py), which change the syntax tree of `plugin.py`, or the manifest: most of them at
the beginning of the plugin's first hook, in `setup`, or in what the hook returns. Where an operator has no place for
its fault (no output schema, another execution model, a decorator that has the last word), it is not applied.

What this does not show: the faults are short, and each is reached by every call, or by many. A fault in a branch that
none of the suite's inputs lead to stays hidden, unless it can be read off the code. And the operators were written by
people who know the checks.
"""


def report(seen: Sequence[Seen]) -> str:
    """The page."""
    mutants = [one for one in seen if one.mutant is not None]
    plain = [one for one in seen if one.mutant is None]
    caught = sum(one.caught for one in mutants)
    alarms = [one for one in plain if one.failed]
    parts = [
        INTRODUCTION,
        f"Of {len(mutants):,} mutants, {caught:,} were caught and {len(mutants) - caught} missed.",
        f"Of {len(plain)} plugins as they are, {len(alarms)} met with a false alarm.\n",
        "## Operators\n",
        *_operators(mutants),
        "\n## Missed\n",
        *_listed(_missed(one.mutant, one.told) for one in mutants if one.mutant and not one.caught),
        "\n## False alarms\n",
        "All checks, on each plugin as it is.\n",
        *_listed(f"`{one.place.name}`: {told}" for one in alarms for told in one.failed.values()),
        "\n## Plugins\n",
        "The numbers are those of the operators. ✓ caught, ✗ missed, blank: not applicable.\n",
        *_grid(plain, mutants),
    ]
    return "\n".join(parts) + "\n"


_OBJECT: Final = "the plugin answers with an object of its own, which what is planted leaves as it is"
REASONS: Final = {
    "exits_on_rare_input": "no input that was made is long enough; an example in the manifest would be",
    "other_after_restart": _OBJECT,
    "race": "threads took no turns at the wrong moment, or all inputs have the same answer",
    "set_order": _OBJECT,
    "too_long": _OBJECT,
    "unknown_field": _OBJECT,
}
"""Why mutants of an operator are missed, where that is known."""


def _missed(mutant: Mutant, told: str) -> str:
    reason = REASONS.get(mutant.operator, "not known yet")
    return f"`{mutant.name}`: {reason} ({told})"


def _listed(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines] or ["None."]


def _operators(mutants: Sequence[Seen]) -> Iterator[str]:
    yield "| | operator | check | what it plants | applied | caught | missed |"
    yield "|---|---|---|---|---|---|---|"
    for number, one in enumerate(OPERATORS.values(), 1):
        mine = [seen for seen in mutants if seen.mutant and seen.mutant.operator == one.name]
        caught = sum(seen.caught for seen in mine)
        checks = sorted({seen.mutant.check for seen in mine if seen.mutant}, key=lambda check: check != one.check)
        named = " or ".join(f"`{check}`" for check in checks or [one.check])
        yield f"| {number} | `{one.name}` | {named} | {one.plants} | {len(mine)} | {caught} | {len(mine) - caught} |"


def _grid(plain: Sequence[Seen], mutants: Sequence[Seen]) -> Iterator[str]:
    marks = {(one.place.name, one.mutant.operator): "✓" if one.caught else "✗" for one in mutants if one.mutant}
    yield f"| plugin |{'|'.join(str(number) for number in range(1, len(OPERATORS) + 1))}|"
    yield f"|---{'|-' * len(OPERATORS)}|"
    for one in plain:
        yield f"| `{one.place.name}` |{'|'.join(marks.get((one.place.name, name), ' ') for name in OPERATORS)}|"


_OFTEN: Final = 500
"""Mutants between two versions of the page, which takes hours to be complete."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    asked = _asked(arguments)
    found = places()
    chosen = [one for name, one in OPERATORS.items() if asked.only in (None, name)]
    every = mutants_of(found, chosen)
    mutants = sorted(every, key=lambda pair: rank(pair[1].name, asked.seed))[: asked.sample]
    plain: list[tuple[Place, Any]] = [] if asked.mutants_only else [(place, None) for place in found]
    seen: list[Seen] = []
    try:
        seen += run_all(plain, asked.jobs)
        # A check that fails anyway proves nothing by failing.
        noisy = {(one.place.name, check) for one in seen for check in one.failed}
        fair: list[tuple[Place, Any]] = [pair for pair in mutants if (pair[0].name, pair[1].check) not in noisy]
        for one in run_all(fair, asked.jobs):
            seen.append(one)
            if len(seen) % _OFTEN == 0:
                _write(asked.output, seen)
    finally:  # after an interrupt, what was seen until then
        _write(asked.output, seen)


def _write(output: str, seen: Sequence[Seen]) -> None:
    if output:
        Path(output).write_text(report(seen), encoding="utf-8")


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="how many plugins run at once")
    parser.add_argument("--only", choices=OPERATORS, help="one operator")
    parser.add_argument("--sample", type=int, help="this many mutants")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--mutants-only", action="store_true", help="no plugins as they are")
    parser.add_argument("--output", default=str(REPORT), help="where the report goes; empty for nowhere")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
