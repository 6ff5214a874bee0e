"""What was seen of a plugin, as findings: each once, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.contract.watch import Sighting

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


def each_once(findings: Iterable[Finding]) -> list[Finding]:
    """One finding of a sort for each line; where no line is known, one for each thing that is told."""
    found: dict[Any, Finding] = {}
    for finding in findings:
        key = finding.told if finding.line is None else (finding.file, finding.line, finding.what)
        found.setdefault(key, finding)
    return list(found.values())
