"""``ambient_state``: the plugin leans on nothing but what its host lends to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.contract.inputs import NoInput, samples
from dagstack_plugins.contract.reading import runtime_writes
from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.state import Camera, changed, foreign, patched, process
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.verdict import Verdict
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.contract.watch import Sighting, Watch
from dagstack_plugins.errors import TeardownErrors


def inputs(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Inputs of all hooks, made once for several hosts; and how long a call takes, so that there are not too many."""
    subject, arguments = given
    stage = Stage(subject, scratch)
    made: dict[str, list[Any]] = {}
    with stage.running():
        for hook in stage.hooks:
            try:
                made[hook] = samples(stage.strategy(hook), arguments["number"], subject.seed)
            except NoInput:
                made[hook] = []
        given_ones = {hook: stage.raw_examples(hook) for hook in made}
        pace = max((_pace(stage, hook, (given_ones[hook] + made[hook])[:2]) for hook in made), default=0.0)
        return {"given": given_ones, "made": made, "pace": pace}


def _pace(stage: Stage, hook: str, payloads: list[Any]) -> float:
    """Seconds that one call takes."""
    begun = time.monotonic()
    outcomes(stage, [(hook, payload) for payload in payloads])
    return (time.monotonic() - begun) / max(1, len(payloads))


def plan(inputs_of: Mapping[str, list[Any]]) -> list[tuple[str, Any]]:
    """Each input twice, with others in between, hooks taking turns."""
    rounds = [(hook, payload) for hook, payloads in inputs_of.items() for payload in payloads]
    return rounds + rounds


def host(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """What one more host is answered; nothing is watched."""
    subject, arguments = given
    stage = Stage(subject, scratch)
    with stage.running():
        return {"outcomes": outcomes(stage, plan(arguments["inputs"]))}


def outcomes(stage: Stage, calls: Iterable[tuple[str, Any]]) -> list[Any]:
    """What came of some calls, as JSON."""
    return [stage.settled(stage.call(hook, stage.filled(payload)).told()) for hook, payload in calls]


def probe(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Watch the plugin while it is loaded, started, called and stopped; then start it again on a fresh loop."""
    subject, arguments = given
    watch = Watch(subject.own, scratch)
    camera = Camera(lambda file: _is_own(file, subject.own))
    at_first = process()
    watch.begin()
    stage = Stage(subject, scratch)
    watch.name_paths(stage.config)
    at_load, modules, others = process(), camera.take(), foreign(camera)
    calls = plan(arguments["inputs"])
    with watch.during("setup"):
        stage.start()
    started = process()
    first = []
    for hook, payload in calls:
        with watch.during(hook, payload):
            first += outcomes(stage, [(hook, payload)])
    called = process()
    with watch.during("teardown"), suppress(TeardownErrors):
        stage.stop()
    stage.leave()
    watch.end()
    at_last = process()
    findings = [
        *_sighted(watch.sightings),
        *_of_modules(changed(modules, camera.take()), camera, stage),
        *_of_process(at_first, at_load, started, called, at_last),
        *(_patched(name) for name in patched(camera, others)),
    ]
    return {"findings": _as_dicts(each_once(findings)), "outcomes": first, "again": _again(stage, calls)}


def _again(stage: Stage, calls: list[tuple[str, Any]]) -> list[Any]:
    """The same instance on a fresh loop."""
    try:
        with stage.running():
            return outcomes(stage, calls)
    except Exception as error:
        return [{"error": type(error).__name__, "message": str(error)}]


def _as_dicts(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return list(Verdict.of(findings).to_dict()["findings"])


def _is_own(file: str, own: str) -> bool:
    return file == own or file.startswith(f"{own.rstrip(os.sep)}{os.sep}")


def each_once(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each line, and for each that has none."""
    found: dict[tuple[str | None, int | None, str], Finding] = {}
    lines: set[tuple[str | None, int | None]] = set()
    for finding in findings:
        place = finding.file, finding.line
        if finding.line is not None and place in lines:
            continue
        lines.add(place)
        found.setdefault((*place, finding.told), finding)
    return list(found.values())


ADVICE: Final[Mapping[str, str]] = {
    "clock": 'take the time from the host: resources.required = ["clock"], ctx.resources.clock.now()',
    "interval": 'take the time from the host: resources.required = ["clock"], ctx.resources.clock.monotonic_ns()',
    "randomness": 'take randomness from the host: resources.required = ["rng"], ctx.resources.rng',
    "environment": "read it in setup, or better: let the host say it in the plugin's configuration (ctx.config)",
    "directory": "name files by absolute paths: from the configuration, the payload, ctx.resources.tmpdir or __file__",
    "identity": "where the plugin runs is the host's business: let the configuration or the payload say what is needed",
    "locale": "format with what no locale changes, and sort by the text itself",
    "loop": "ask for the running loop where it is used: each host has one of its own",
    "write": 'write into ctx.resources.tmpdir (resources.required = ["tmpdir"]), or where the configuration says',
    "read": "read from the plugin's own folder, or what the configuration or the payload names",
}
_IN_HOOKS: Final = frozenset({"clock", "interval", "randomness", "environment", "directory", "identity"})
_ANYWHERE: Final = frozenset({"write", "read"})


def _sighted(sightings: Iterable[Sighting]) -> Iterator[Finding]:
    for one in sightings:
        in_setup = one.phase == "setup"
        loop = one.what == "loop" and one.phase == "load"
        if one.what in _ANYWHERE or loop or (one.what in _IN_HOOKS and not in_setup):
            yield of_sighting(one)


def of_sighting(one: Sighting) -> Finding:
    """A sighting, as something to report."""
    when = {"load": " while it is loaded", "setup": " in setup", "teardown": " in teardown"}.get(one.phase, "")
    verb = "" if one.what in ("write", "read", "directory") and " " in one.told else "uses "
    return Finding(
        told=f"{verb}{one.told}{when}" + (f" ({one.path})" if one.path else ""),
        advice=ADVICE[one.what],
        hook=None if when else one.phase,
        file=one.file,
        line=one.line,
        what=one.what,
    )


def _of_modules(names: Iterable[str], camera: Camera, stage: Stage) -> Iterator[Finding]:
    """What changed, and what would on ways that the inputs did not lead to."""
    written = dict(_written(camera, stage))
    modules = camera.modules()
    for name in names:
        module, _, variable = name.partition(":")
        file = str(getattr(modules.get(module), "__file__", None))
        line = written.pop((file, variable), None) or _line_of(file, variable)
        yield _shared(variable, file, line)
    for (file, variable), line in written.items():
        yield _shared(variable, file, line)


def _shared(variable: str, file: str, line: int | None) -> Finding:
    return Finding(
        told=f"changes {variable!r}, which all instances of all hosts in a process share",
        advice="keep state in the instance (made in setup), or in a resource",
        file=file,
        line=line,
        what="module state",
    )


def _written(camera: Camera, stage: Stage) -> Iterator[tuple[tuple[str, str], int]]:
    """Where the plugin's code writes to names of its modules, by file and name."""
    entries = {*stage.hooks, "setup", "teardown"}
    cls = type(stage.plugin.instance)
    # A file that is not the plugin's alone, such as a test's, has classes that are none of its business.
    only = None if os.path.isdir(stage.subject.own) else {base.__name__ for base in cls.__mro__}  # noqa: PTH112
    for module in camera.modules().values():
        file = str(module.__file__)
        for name, line in runtime_writes(Path(file), entries, only):
            yield (file, name), line


def _line_of(file: str, variable: str) -> int | None:
    starts = (
        f"{variable} ",
        f"{variable}=",
        f"{variable}:",
        f"def {variable}(",
        f"class {variable}",
        f"async def {variable}(",
    )
    for number, line in enumerate(Path(file).read_text("utf-8", "replace").splitlines(), 1):
        if line.startswith(starts):
            return number
    return None


_LEFT_AT_LOAD: Final = frozenset(
    {"os.environ", "the working directory", "the locale", "the umask", "sys.stdout", "sys.stderr"}
)


def _of_process(first: Any, load: Any, started: Any, called: Any, last: Any) -> Iterator[Finding]:
    for name in last:
        if name == "the state of random":
            moments = [(started, called, "while hooks run")]
        else:
            moments = [(started, called, "while hooks run"), (load, last, "and leaves it so")]
            if name in _LEFT_AT_LOAD:
                moments.append((first, load, "while it is loaded"))
        for before, after, when in moments:
            if before.get(name) != after.get(name):
                yield Finding(
                    told=f"changes {name} {when}, which belongs to the whole process",
                    advice="leave to the host what is the host's; what setup changes, teardown must put back",
                    what="process state",
                )
                break


def _patched(name: str) -> Finding:
    return Finding(
        told=f"sets {name}, which is another module's",
        advice="keep state in the instance, or in a resource",
        what="process state",
    )
