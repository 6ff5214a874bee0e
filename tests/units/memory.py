"""A host that does many units, and tells what memory that takes: ``memory.py FOLDER UNITS [BYTES]``.

After each tenth of them it writes a line: how many were done, its memory in bytes, and the same without the pages that
SQLite keeps, which are as many as it is allowed and no more. BYTES are kept of each unit on purpose, to see that they
are seen.
"""

import ctypes
import gc
import os
import sqlite3
import sys

import psutil

from dagstack_plugins import LocalOrchestrator, PluginContext, PluginRegistry

BATCH = 100
CONNECTIONS = []
KEPT = []


class Echo:
    def execute(self, args):
        if BYTES:
            KEPT.append(os.urandom(BYTES))
        return args


def keep_connections():
    connect = sqlite3.connect

    def connected(*given, **named):
        CONNECTIONS.append(connect(*given, **named))
        return CONNECTIONS[-1]

    sqlite3.connect = connected


def resident():
    gc.collect()
    return psutil.Process().memory_info().rss


def without_pages():
    for connection in CONNECTIONS:
        connection.execute("PRAGMA shrink_memory")
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return resident()


def main():
    keep_connections()
    registry = PluginRegistry()
    registry.register(LocalOrchestrator, LocalOrchestrator.manifest)
    manifest = {"name": "echo", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1", "version": "1.0"}
    registry.register(Echo, {**manifest, "unit_of_work": {"declared": True, "partition_key": "part"}})
    units, config = int(sys.argv[2]), {"path": f"{sys.argv[1]}/units.db", "workers": 2}
    with registry.running(PluginContext({"orchestrator": {"local": config}})):
        for begin in range(0, units, BATCH):
            args = [{"number": number, "part": f"p{number % 20}"} for number in range(begin, begin + BATCH)]
            ids = [registry.units.submit("tool", "echo", "execute", one).unit_id for one in args]
            assert [registry.units.wait(unit, 60) for unit in ids] == args
            if (begin + BATCH) % (units // 10) == 0:
                sys.stdout.write(f"{begin + BATCH} {resident()} {without_pages()}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    BYTES = int(sys.argv[3]) if sys.argv[3:] else 0
    main()
