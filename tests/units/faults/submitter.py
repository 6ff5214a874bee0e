"""A host that hands the units of a plan in, and goes on where it was when it was killed: ``submitter.py SETUP FOLDER``.

Of each that was accepted it writes the number and the id into FOLDER/accepted, and then it is safe there.
"""

import sys
import time
from pathlib import Path

from dagstack_plugins import PluginError
from tests.units.faults.notes import append, lines
from tests.units.faults.plan import Plan
from tests.units.faults.setups import named

AGAIN = 5
"""So many that were accepted are handed in once more by who goes on, and must be the same ones."""
SUBMITTING = ("tool", "stepper", "execute")


def kept(do, *arguments, **named_ones):
    """A disk that is full for a while, an orchestrator that is away: until it is done."""
    while True:
        try:
            return do(*arguments, **named_ones)
        except (OSError, PluginError):
            time.sleep(0.02)


def main():
    folder = Path(sys.argv[2])
    plan = Plan.read(folder)
    accepted = folder / "accepted"
    begin = max([int(number) for number, _ in lines(accepted)], default=-1) + 1 - AGAIN
    with named(sys.argv[1], folder).host() as registry:
        for number in range(max(0, begin), plan.units):
            args = plan.args(folder, number)
            unit = kept(registry.units.submit, *SUBMITTING, args, idempotency_key=f"unit {number}")
            kept(append, accepted, number, unit.unit_id)
            time.sleep(plan.within / plan.units)


if __name__ == "__main__":
    main()
