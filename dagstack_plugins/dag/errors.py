"""What can go wrong with graphs, runs and gates."""

from __future__ import annotations

from collections.abc import Sequence

from dagstack_plugins.errors import Fault, PluginRegistryError


class DagError(PluginRegistryError):
    """Root of the errors of graphs, runs and gates."""


class GraphInvalid(DagError):
    """A graph, or what is to run in it, is faulty: all faults are told together.

    Args:
        message: a headline; without ``faults`` the whole story.
        faults: everything that was found wrong.
    """

    def __init__(self, message: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message + "".join(f"\n  - {fault}" for fault in faults))
        self.faults = tuple(faults)


class GraphCycle(GraphInvalid):
    """Nodes depend on each other in a circle, so that none of them can begin.

    Args:
        cycle: their names, each before one that waits for it; the first repeated at the end.
    """

    def __init__(self, message: str, *, cycle: Sequence[str]) -> None:
        super().__init__(message)
        self.cycle = tuple(cycle)


class ResultUnfit(DagError):
    """The result of a node is not what another one makes of it; trying again changes nothing."""


class NodeTimeout(DagError, TimeoutError):
    """A node took longer than the executor's ``timeout``."""


class GateError(DagError):
    """Something about a gate.

    Args:
        gate: the gate's name.
    """

    def __init__(self, message: str, *, gate: str) -> None:
        super().__init__(message)
        self.gate = gate


class GateUnknown(GateError, KeyError):
    """There is no gate of that name."""

    def __str__(self) -> str:
        return str(self.args[0])


class GateDecided(GateError):
    """A gate was decided already; the first decision stands."""


class GateRejected(GateError):
    """A person rejected what waited at a gate.

    Args:
        reason: why, in that person's words; may be empty.
    """

    def __init__(self, message: str, *, gate: str, reason: str = "") -> None:
        super().__init__(message, gate=gate)
        self.reason = reason


class GateTimeout(GateError, TimeoutError):
    """Nobody decided in time."""
