"""Where checks run their probes: in processes at home, and in processes that are as unlike those as can be."""

from __future__ import annotations

import atexit
import time
from collections.abc import Mapping, Sequence
from keyword import iskeyword
from typing import Any, Final, Self

import attrs

from dagstack_plugins.contract.forks import Ended, ForkServer, scratch_folder
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.kinds.model import Hook, Kind
from dagstack_plugins.wording import printable

Where = str
"""``here``, or one of the places that differ from it: ``elsewhere``, ``elsewhere 2``, …"""
ELSEWHERES: Final = 5
"""Hash seeds beside the first: a set of two has one of two orders, and two seeds agree on that half of the time."""

_ELSEWHERE: Final = {"TZ": "XXX-5:45", "LANG": "C", "LC_ALL": "C", "USER": "somebody", "HOSTNAME": "elsewhere"}
"""A time zone that no machine is set to, and a locale that few are."""
_FOR_CALLS: Final = 0.1
"""How much of a check's time may go into one call of each input."""
_QUICK: Final = 1e-4
_WATCHED: Final = 5
"""How much longer a call takes while it is watched, where it is all Python."""
_LEAST: Final = 2
_MARGIN: Final = 0.8
"""How much of a check's time a probe plans to use."""


class Bench:
    """The servers that test processes are forked from, kept for many checks of many plugins.

    A context manager; without it, ``close`` ends the servers.
    """

    def __init__(self) -> None:
        elsewhere = {
            f"elsewhere {number}": ForkServer(4711 * number, _ELSEWHERE) for number in range(2, ELSEWHERES + 1)
        }
        self._servers = {"here": ForkServer(1, {}), "elsewhere": ForkServer(4711, _ELSEWHERE), **elsewhere}

    def start(self) -> None:
        """Begin to load the servers that each plugin needs, without waiting for them."""
        for where in ("here", "elsewhere"):
            self._servers[where].start()

    def server(self, where: Where) -> ForkServer:
        """The server of a place."""
        return self._servers[where]

    def close(self) -> None:
        """End the servers."""
        for server in self._servers.values():
            server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@attrs.define(eq=False)
class Notes:
    """What is known of one plugin from checks that were run, for those that come after.

    Attributes:
        broken: which check tells why nothing more can be seen of it, and that in short; empty as long as all is well.
        deaths: how many checks were ended by a process of it that died.
        inputs: the inputs that were made for it.
    """

    broken: tuple[str, str] = ("", "")
    deaths: int = 0
    inputs: Any = None


_shared: Bench | None = None


def shared_bench() -> Bench:
    """The bench of this process, made when first needed and closed at its end."""
    global _shared
    if _shared is None:
        _shared = Bench()
        atexit.register(_shared.close)
    return _shared


class Broke(Exception):
    """A test process ended before it reported.

    Args:
        ended: how.
        finding: the same, as something to report.
    """

    def __init__(self, ended: Ended, finding: Finding) -> None:
        super().__init__(finding.told)
        self.ended = ended
        self.finding = finding


class ProbeFailed(Exception):
    """A probe came to nothing.

    Args:
        message: why.
        reason: ``loaded`` or ``started`` if the plugin could not be; empty if the probe failed in itself.
        file: the file to blame, where known.
        line: 1-based line in it.
    """

    def __init__(self, message: str, reason: str = "", file: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.file = file
        self.line = line


@attrs.define(eq=False)
class Trial:
    """One check of one plugin.

    Attributes:
        subject: the plugin.
        kind: its kind, ``None`` where that is unknown.
        hook: the hook that is checked, for checks of single hooks.
        bench: where it runs.
        notes: what is known of it already.
        timeout: seconds that the check may take.
    """

    subject: Subject
    kind: Kind | None
    hook: str | None
    bench: Bench
    notes: Notes
    timeout: float
    _until: float = attrs.field(init=False)

    @_until.default
    def _from_now(self) -> float:
        return time.monotonic() + self.timeout

    @property
    def hooks(self) -> dict[str, Hook]:
        """The hooks of the kind."""
        return dict(self.kind.hooks) if self.kind is not None else {}

    def inputs(self, number: int) -> dict[str, list[Any]]:
        """Inputs of each hook that the plugin has: its manifest's own, and so many that are made from the schema.

        They are made once for all checks, and in one process: what another made of the same seed may differ.
        """
        subject = self.subject
        if self.notes.inputs is None:
            self.notes.inputs = self.run("calls:inputs", number=subject.examples)
        made = self.notes.inputs
        # Each is used several times by each check.
        affordable = self.timeout * _FOR_CALLS / (max(made["pace"], _QUICK) * _WATCHED) / max(1, len(made["made"]))
        number = max(_LEAST, min(number, int(affordable)))
        return {hook: made["given"][hook] + spread(payloads, number) for hook, payloads in made["made"].items()}

    def run(self, probe: str, /, where: Where = "here", **arguments: Any) -> Any:
        """Run a probe of a check and hand back its report.

        Args:
            probe: ``module:function``, of the package of probes.
            where: in which process.
            arguments: what the function gets, beside the stage.

        Raises:
            Broke: if its process died, or had to be ended.
            ProbeFailed: if the probe itself failed.
        """
        with scratch_folder() as scratch:
            return self.run_in(scratch, probe, where, **arguments)

    def run_in(self, scratch: Any, probe: str, /, where: Where = "here", **arguments: Any) -> Any:
        """The same, in a folder that the caller keeps."""
        left = max(0.5, self._until - time.monotonic())
        given = (self.subject, {"seconds": left * _MARGIN, **arguments})
        name = f"dagstack_plugins.contract.probes.{probe}"
        ended = self.bench.server(where).run(name, given, scratch, left)
        return self._reported(ended)

    def _reported(self, ended: Ended) -> Any:
        if ended.report is None:
            raise Broke(ended, self._blamed(ended))
        if "failed" in ended.report:
            failed = ended.report["failed"]
            message = failed["message"] if failed["reason"] else failed["traceback"]
            raise ProbeFailed(message, failed["reason"], failed["file"], failed["line"])
        return ended.report["told"]

    def _blamed(self, ended: Ended) -> Finding:
        own = [frame for frame in ended.frames if frame[0].startswith(self.subject.own)]
        file, line = own[0] if own else (None, None)
        evidence: dict[str, Any] = {}
        in_hook = ended.phase if ended.phase in self.hooks else None
        if in_hook:
            evidence["call"] = as_call(self.subject, in_hook, ended.payload)
        if ended.printed.strip():
            evidence["printed"] = ended.printed.strip()[-500:]
        when = (
            f"in hook {in_hook!r}" if in_hook else {"load": "while it was loaded"}.get(ended.phase, f"in {ended.phase}")
        )
        return Finding(
            told=f"the process {ended.how} {when}" if ended.phase else f"the process {ended.how}",
            advice=_advice(ended.how),
            hook=in_hook,
            file=file,
            line=line,
            evidence=evidence,
        )


_CRASHES: Final = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")


def _advice(how: str) -> str:
    if how.startswith("did not end"):
        return "give what it waits for a timeout; if it only needs longer, give the check a longer timeout"
    if how.startswith(("wrote", "made", "took")):
        return "bound what one call keeps, and remove from its tmpdir what it no longer needs"
    if how.endswith(_CRASHES):
        return "the crash is in compiled code; the line is the plugin's last one that Python was on"
    return "a plugin never ends the process it runs in: let it raise an error"


def as_call(subject: Subject, hook: str, payload: Any) -> str:
    """A call as a line to paste into a test."""
    kind, name = subject.manifest.key
    if isinstance(payload, dict) and all(key.isidentifier() and not iskeyword(key) for key in payload):
        given = ", ".join(f"{key}={readable(value)}" for key, value in payload.items())
    else:
        given = readable(payload)
    return f"registry.get_plugin({kind!r}, {name!r}).{hook}({given})"


def readable(value: Any, most: int = 1000) -> str:
    """A value as its ``repr``, cut where it is long; whatever its author's code does."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} that has no repr"
    text = printable(text)
    return text if len(text) <= most else f"{text[:most]}…"


def spread(values: Sequence[Any], number: int) -> list[Any]:
    """A number of values from all over a sequence: the first ones made are the simplest."""
    if len(values) <= number:
        return list(values)
    return [values[index * len(values) // number] for index in range(number)]


def home_of(phase: str, hooks: Mapping[str, Hook]) -> str:
    """The check whose business it is that a process died in a phase."""
    if phase in hooks:
        return "boundaries"
    return {"load": "manifest"}.get(phase, "lifecycle")
