"""``ambient_state``: the plugin leans on nothing but what its host lends to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.contract.guard import below
from dagstack_plugins.contract.probes.calls import outcomes, plan
from dagstack_plugins.contract.probes.sighted import each_once, of_sighting
from dagstack_plugins.contract.reading import runtime_writes
from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.state import Camera, changed, foreign, patched, process
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.verdict import Verdict
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.contract.watch import Sighting, Watch
from dagstack_plugins.errors import TeardownErrors


def host(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """What one more host is answered; nothing is watched."""
    subject, arguments = given
    stage = Stage(subject, scratch)
    with stage.running():
        return {"outcomes": outcomes(stage, plan(arguments["inputs"]))}


def probe(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Watch the plugin while it is loaded, started, called and stopped; then start it again on a fresh loop."""
    subject, arguments = given
    watch = Watch(subject.own, scratch)
    camera = Camera(lambda file: below(file, subject.own))
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
        *_of_process((at_first, at_load, started, called, at_last), watch.sightings),
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


_IN_HOOKS: Final = frozenset({"clock", "interval", "randomness", "environment", "directory", "identity"})
_ANYWHERE: Final = frozenset({"write", "read"})


def _sighted(sightings: Iterable[Sighting]) -> Iterator[Finding]:
    for one in sightings:
        in_setup = one.phase == "setup"
        loop = one.what == "loop" and one.phase == "load"
        if one.what in _ANYWHERE or loop or (one.what in _IN_HOOKS and not in_setup):
            yield of_sighting(one)


def _of_modules(names: Iterable[str], camera: Camera, stage: Stage) -> Iterator[Finding]:
    """What changed, and what would on ways that the inputs did not lead to."""
    written = dict(_written(camera, stage))
    modules = camera.modules()
    for name in names:
        module, _, variable = name.partition(":")
        file = str(getattr(modules.get(module), "__file__", None))
        top = variable.partition(".")[0]
        line = written.pop((file, top), None) or _line_of(file, top)
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
    only = None if stage.subject.alone else {base.__name__ for base in cls.__mro__}
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


def _of_process(pictures: tuple[Any, ...], sightings: Iterable[Sighting]) -> Iterator[Finding]:
    first, load, started, called, last = pictures
    sightings = list(sightings)
    for name in last:
        if name == "the state of random":
            moments = [(started, called, "while hooks run")]
        else:
            moments = [(started, called, "while hooks run"), (load, last, "and leaves it so")]
            if name in _LEFT_AT_LOAD:
                moments.append((first, load, "while it is loaded"))
        when = next((when for before, after, when in moments if before.get(name) != after.get(name)), None)
        if when is not None and not _is_told_otherwise(name, sightings):
            yield Finding(
                told=f"changes {name} {when}, which belongs to the whole process",
                advice=_ADVICE_ON.get(
                    name, "leave to the host what is the host's; what setup changes, teardown puts back"
                ),
                what="process state",
            )


_LEAVE: Final = "leave to the host what is the host's; what setup changes, teardown puts back"
_ADVICE_ON: Final[Mapping[str, str]] = {
    "the root logger's handlers": "log through a logger of your own, logging.getLogger(__name__); "
    "logging.basicConfig(), which logging.info() and its like call, is for the host",
}


def _is_told_otherwise(name: str, sightings: Iterable[Sighting]) -> bool:
    """Whether a change is told with its line, or nobody but a library that was imported meanwhile made it."""
    if name == "the state of random":
        return any(one.what == "randomness" and one.phase not in ("load", "setup", "teardown") for one in sightings)
    return name == "warnings.filters" and all(one.what != "filters" for one in sightings)


def _patched(name: str) -> Finding:
    return Finding(
        told=f"sets {name}, which is another module's",
        advice="keep state in the instance, or in a resource",
        what="process state",
    )
