"""What the shipped resources cost, beside what they stand on."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import FileBlobStore, HttpxClient, S3BlobStore, SystemClock
from dagstack_plugins.resources.around import around

AT_ONCE = 8


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.mark.parametrize("size", [4096, 4 * 2**20], ids=["4 KiB", "4 MiB"])
@pytest.mark.parametrize("at_once", [AT_ONCE, 1])
def test_file_store(beside: Any, loop: asyncio.AbstractEventLoop, tmp_path: Path, size: int, at_once: int) -> None:
    data, names = os.urandom(size), itertools.cycle(f"f{number}" for number in range(50))
    store = FileBlobStore(tmp_path / "store")
    part = tmp_path / "plain" / "part"
    part.parent.mkdir()

    async def put() -> None:
        await asyncio.gather(*(store.put(next(names), data) for _ in range(at_once)))

    def plain() -> None:
        for _ in range(at_once):
            with part.open("wb", buffering=0) as file:
                file.write(data)
                os.fsync(file.fileno())
            part.replace(tmp_path / "plain" / next(names))

    told = "4 KiB" if size == 4096 else "4 MiB"
    beside(
        f"FileBlobStore.put, {told}, {f'{at_once} at once' if at_once > 1 else 'one by one'}",
        lambda: loop.run_until_complete(put()),
        "open, write, fsync, rename, in a loop",
        plain,
        at_most=1.25,
    )
    store.close()


SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""

PAGES = """
import asyncio, sys
ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: 11\\r\\n\\r\\n" + b'{"ok":true}'
class Page(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.rest = transport, b""
    def data_received(self, data):
        *heads, self.rest = (self.rest + data).split(b"\\r\\n\\r\\n")
        self.transport.write(ANSWER * len(heads))
async def main():
    server = await asyncio.get_running_loop().create_server(Page, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


@pytest.fixture
def served() -> Iterator[Callable[[str], str]]:
    servers: list[subprocess.Popen[bytes]] = []

    def start(program: str) -> str:
        server = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        servers.append(server)
        assert server.stdout is not None
        return f"http://127.0.0.1:{int(server.stdout.readline())}"

    yield start
    for server in servers:
        server.communicate()


@pytest.mark.parametrize("size", [4096, 4 * 2**20], ids=["4 KiB", "4 MiB"])
def test_s3(beside: Any, loop: asyncio.AbstractEventLoop, served: Callable[[str], str], size: int) -> None:
    import obstore
    from obstore.store import S3Store

    url, data = served(SERVER), os.urandom(size)
    urllib.request.urlopen(urllib.request.Request(f"{url}/bucket", method="PUT")).close()
    keys: dict[str, Any] = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    ours = S3BlobStore("bucket", endpoint=url, **keys)
    theirs = S3Store("bucket", endpoint=url, client_options={"allow_http": True}, **keys)

    async def by_ours() -> None:
        for _ in range(4):
            await ours.put("a", data)
            await ours.get("a")

    async def by_theirs() -> None:
        for _ in range(4):
            await obstore.put_async(theirs, "a", data)
            bytes(await (await obstore.get_async(theirs, "a")).bytes_async())

    beside(
        f"S3BlobStore, put and get, {'4 KiB' if size == 4096 else '4 MiB'}",
        lambda: loop.run_until_complete(by_ours()),
        "obstore, used directly",
        lambda: loop.run_until_complete(by_theirs()),
        at_most=1 / 0.9,
    )


@pytest.mark.parametrize("at_once", [1, 20])
def test_http(beside: Any, loop: asyncio.AbstractEventLoop, served: Callable[[str], str], at_once: int) -> None:
    import httpx2

    url = served(PAGES)
    ours, theirs = HttpxClient(), httpx2.AsyncClient()

    async def by_ours() -> None:
        for _ in range(20 // at_once):
            for answer in await asyncio.gather(*(ours.get(url) for _ in range(at_once))):
                answer.json()

    async def by_theirs() -> None:
        for _ in range(20 // at_once):
            for answer in await asyncio.gather(*(theirs.get(url) for _ in range(at_once))):
                answer.json()

    beside(
        f"HttpxClient.get, {'one by one' if at_once == 1 else f'{at_once} at once'}",
        lambda: loop.run_until_complete(by_ours()),
        "httpx2, used directly",
        lambda: loop.run_until_complete(by_theirs()),
        at_most=1 / 0.85,
    )
    loop.run_until_complete(ours.aclose())
    loop.run_until_complete(theirs.aclose())


class OneCallMore:
    def __init__(self, bare: SystemClock) -> None:
        self._bare = bare

    def monotonic_ns(self) -> int:
        return self._bare.monotonic_ns()


def test_an_empty_decorator(beside: Any) -> None:
    bare = SystemClock()
    decorated, one_more = around(bare, lambda name, method: method), OneCallMore(bare)
    beside(
        "a method through an empty decorator",
        lambda: [decorated.monotonic_ns() for _ in range(100)],
        "through one method more",
        lambda: [one_more.monotonic_ns() for _ in range(100)],
        at_most=1.0,
    )
