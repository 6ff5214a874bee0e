"""``resources``: what the plugin needs of the world, sockets and processes, it reaches through what its host lends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dagstack_plugins.contract.probes.calls import outcomes, plan
from dagstack_plugins.contract.probes.sighted import each_once
from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.contract.watch import Sighting, Watch
from dagstack_plugins.errors import TeardownErrors

ADVICE: Final[Mapping[str, str]] = {
    "socket": 'reach the network through a resource: resources.required = ["http_client"], or one of the host\'s own',
    "process": "let the host lend what starts processes, or say execution_model = 'process_cpu_bound'",
    "registry": "read ctx.resources, which is guarded by the manifest; the registry's own belongs to the host",
    "undeclared": "declare it in the manifest; an optional one that the host lacks reads None",
}


def probe(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Watch the plugin from its import to its teardown, started twice."""
    subject, arguments = given
    watch = Watch(subject.own, scratch)
    watch.begin()
    stage = Stage(subject, scratch)
    watch.name_paths(stage.config)
    try:
        for _ in range(2):
            with watch.during("setup"):
                stage.start()
            for hook, payload in plan(arguments["inputs"]):
                with watch.during(hook, payload):
                    outcomes(stage, [(hook, payload)])
            with watch.during("teardown"), suppress(TeardownErrors):
                stage.stop()
    finally:
        stage.leave()
        watch.end()
    return stage.verdict(each_once(_findings(watch.sightings))).to_dict()


def _findings(sightings: Iterable[Sighting]) -> Iterator[Finding]:
    for one in sightings:
        if one.what in ADVICE:
            when = {"load": "while it is loaded", "setup": "in setup", "teardown": "in teardown"}.get(one.phase)
            yield Finding(
                told=f"{_VERBS.get(one.what, 'reaches')} {one.told}{f' {when}' if when else ''}",
                advice=ADVICE[one.what],
                hook=None if when else one.phase,
                file=one.file,
                line=one.line,
                what=one.what,
            )


_VERBS: Final[Mapping[str, str]] = {"undeclared": "reads", "registry": "reads"}
