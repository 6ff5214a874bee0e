"""A process that works on units until it is ended: ``program.py FILE LOG [SECONDS A STEP]``.

What its plugin does, it appends to LOG, a line each, so that tests see what was done twice.
"""

import os
import sys
import time

from dagstack_plugins import LocalOrchestrator, PluginContext, PluginRegistry


class Doer:
    def execute(self, args, ctx):
        done, _ = ctx.checkpoint.load("done")
        done = done or ""
        for step in range(len(done), args["count"]):
            note(f"{args['name']} {step}")
            time.sleep(PAUSE)
            done += chr(ord("a") + step % 26)
            ctx.checkpoint.save("done", done)
        note(f"{args['name']} end")
        return done


def note(text):
    log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{text}\n".encode())
    os.close(log)


def host(workers, **config):
    registry = PluginRegistry()
    registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
    unit = {"declared": True, "partition_key": "part", "checkpointable": True}
    manifest = {"name": "doer", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1", "unit_of_work": unit}
    registry.register(Doer, manifest)
    config = {"path": sys.argv[1], "workers": workers, "lease_sec": 1, "max_losses": 1000, **config}
    return registry, PluginContext({"orchestrator": {"local": config}})


if __name__ == "__main__":
    PAUSE = float(sys.argv[3]) if sys.argv[3:] else 0.0
    registry, context = host(4)
    with registry.running(context):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()
