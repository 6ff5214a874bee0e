"""The cluster of the example, as its README has it typed, and the pipeline on it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "examples" / "cluster" / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

pytest.importorskip("celery", reason="needs: pip install 'celery[redis]'")


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Redis and a worker, from the README's own lines, but for the port and the folder of the data."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server, as Debian's package of that name has it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    redis, worker = BLOCKS[:2]
    lines = [f"exec {redis.strip()} --port {port} --dir {tmp_path}", worker.replace("celery -A", "exec celery -A")]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    processes = [
        subprocess.Popen(
            ["bash", "-c", line.replace("6379", str(port))], cwd=ROOT, env=environment, start_new_session=True
        )
        for line in lines
    ]
    os.environ["DAGSTACK_UNITS"] = f"redis://localhost:{port}/0"
    try:
        yield processes
    finally:
        del os.environ["DAGSTACK_UNITS"]
        for process in processes[::-1]:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def index(corpus: Path, out: Path, **environment: str) -> bytes:
    command = [sys.executable, "examples/corpus_pipeline", str(corpus), "--out", str(out), "--every", "20"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (out / "index").read_bytes()


def test_a_job_on_the_cluster_comes_to_what_it_does_on_one_machine(
    typed: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(300):
        (corpus / f"{number}.txt").write_text(f"text {number} of many, with words {number % 7} and {number % 11}\n")
    there = index(corpus, tmp_path / "there")
    assert there == index(corpus, tmp_path / "here", DAGSTACK_UNITS=str(tmp_path / "units.db"))
    worker = typed[1]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
