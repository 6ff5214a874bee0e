"""Run a program on a clock and a disk that a test can spoil, and not longer than that test.

``launcher.py FOLDER CLOCK PROGRAM …`` or ``launcher.py FOLDER CLOCK -m MODULE …``: CLOCK is a file that holds, as a
double, by how many seconds the clock is wrong; while there is a file FOLDER/full, the process can write to no file.
Standard input is a pipe of the test's, which closes when that ends, however it ends.
"""

import os
import resource
import runpy
import signal
import struct
import sys
import threading
import time
from pathlib import Path

FREE = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
FULL = (0, resource.RLIM_INFINITY)


def end_with_the_test():
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


def spoil_clock(path):
    clock, right = os.open(path, os.O_RDONLY), time.time
    time.time = lambda: right() + struct.unpack("d", os.pread(clock, 8, 0))[0]


def spoil_disk(sign):
    if sign.exists():
        resource.setrlimit(resource.RLIMIT_FSIZE, FULL)
        if not sign.exists():  # it was freed meanwhile
            resource.setrlimit(resource.RLIMIT_FSIZE, FREE)


def main():
    folder, clock, *arguments = sys.argv[1:]
    threading.Thread(target=end_with_the_test, daemon=True).start()
    # Before the program is imported, as its modules take the function over.
    spoil_clock(clock)
    spoil_disk(Path(folder) / "full")
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
