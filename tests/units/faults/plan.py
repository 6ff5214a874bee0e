"""What is to be done while everything fails: units of a plugin that notes each of its steps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import attrs

FILE = "plan.json"
PLUGINS = "plugins"
MANIFEST = """
[plugin]
name = "stepper"
kind = "tool"
runtime = "in_process"
core_version = ">=0.1"
version = "1.0"

[plugin.unit_of_work]
declared = true
checkpointable = true
partition_key = "part"
"""
PLUGIN = '''
"""Does steps, one after the other, and notes each of them in a file."""

import hashlib
import os
import time
import uuid


class Stepper:
    def execute(self, args, ctx):
        attempt = uuid.uuid4().hex[:12]

        def note(what, step):
            # What it notes can be written sooner or later, and is no failure of the plugin's.
            line = f"\\n{args['number']} {attempt} {what} {step} .\\n".encode()
            while True:
                try:
                    file = os.open(args["notes"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                    try:
                        if os.write(file, line) == len(line):
                            return
                    finally:
                        os.close(file)
                except OSError:
                    pass
                time.sleep(0.02)

        state, _ = ctx.checkpoint.load("state")
        state = state or {"done": 0, "digest": "", "failed": False}
        note("begin", state["done"])
        for step in range(state["done"], args["steps"]):
            if step == args["fail_at"] and not state["failed"]:
                ctx.checkpoint.save("state", {**state, "failed": True})
                note("fail", step)
                raise RuntimeError("once")
            note("step", step)
            time.sleep(args["pause"])
            digest = hashlib.sha256(f"{state['digest']} {args['number']} {step}".encode()).hexdigest()
            state = {**state, "done": step + 1, "digest": digest}
            ctx.checkpoint.save("state", state)
            note("saved", step)
        note("end", args["steps"])
        return {"digest": state["digest"]}
'''


@attrs.frozen
class Plan:
    """So much is to be done.

    Attributes:
        units: how many units.
        seconds: how long things fail.
        workers: how many processes work.
        threads: units that each works on at once.
        partitions: the units are dealt out to so many.
        steps: of a unit, with a checkpoint after each.
        within: seconds that handing them in takes.
        fail_every: each so-many-th unit fails at its first attempt; 0: none does.
        lease: seconds after which a process that is silent may be taken for dead.
        seed: of what happens by chance.
    """

    units: int
    seconds: float
    workers: int = 3
    threads: int = 4
    partitions: int = 20
    steps: int = 5
    within: float = 0.0
    fail_every: int = 7
    lease: float = 2.0
    seed: int = 1

    @property
    def pause(self) -> float:
        """Seconds that a step takes: there is work for about as long as things fail."""
        return 0.7 * self.seconds * min(self.partitions, self.workers * self.threads) / (self.units * self.steps)

    def write(self, folder: Path) -> None:
        """Leave plan and plugin in a folder, for all processes."""
        (folder / FILE).write_text(json.dumps(attrs.asdict(self)))
        (folder / "notes").mkdir()
        place = folder / PLUGINS / "stepper"
        place.mkdir(parents=True)
        (place / "dagstack.toml").write_text(MANIFEST)
        (place / "plugin.py").write_text(PLUGIN)

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """The plan in a folder."""
        return cls(**json.loads((folder / FILE).read_text()))

    def fails(self, number: int) -> bool:
        """Whether a unit fails once."""
        return bool(self.fail_every) and number % self.fail_every == 0

    def args(self, folder: Path, number: int) -> dict[str, Any]:
        """The payload of a unit."""
        part = f"p{number % self.partitions}"
        return {
            "number": number,
            "part": part,
            "notes": str(folder / "notes" / part),
            "steps": self.steps,
            "pause": self.pause,
            "fail_at": number % self.steps if self.fails(number) else -1,
        }

    def result(self, number: int) -> dict[str, Any]:
        """What a unit comes to, if no step of it is left out or done on another's state."""
        digest = ""
        for step in range(self.steps):
            digest = hashlib.sha256(f"{digest} {number} {step}".encode()).hexdigest()
        return {"digest": digest}
