"""S3BlobStore, beside a real server on loopback."""

from __future__ import annotations

import asyncio
import atexit
import json
import pickle
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

import pytest

from dagstack_plugins import BlobNotFound, BlobStore, BlobStoreError, S3BlobStore
from dagstack_plugins.contract import blob_store_suite

pytest.importorskip("moto", reason="moto is the S3 server of these tests: pip install 'moto[s3,server]'")
boto3 = pytest.importorskip("boto3")

SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@cache
def endpoint() -> str:
    """A server of this test process's own; it ends with the pipe to it."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    atexit.register(server.communicate)
    assert server.stdout is not None
    host, port = server.stdout.readline().split()
    return f"http://{host.decode()}:{port.decode()}"


def bucket() -> str:
    name = f"bucket-{uuid.uuid4().hex}"
    urllib.request.urlopen(urllib.request.Request(f"{endpoint()}/{name}", method="PUT")).close()
    return name


def opened(name: str | None = None, **more: Any) -> S3BlobStore:
    given = {"endpoint": endpoint(), "region": "us-east-1", "access_key_id": "a", "secret_access_key": "b", **more}
    return S3BlobStore(bucket() if name is None else name, **given)


@cache
def shared_bucket() -> str:
    return bucket()


TestS3BlobStore = blob_store_suite(lambda: opened(shared_bucket()))
TestS3BlobStoreBelowAPrefix = blob_store_suite(lambda: opened(shared_bucket(), prefix="some/folder"))


async def test_keys_are_the_objects_own() -> None:
    """Other programs find the blobs by their keys."""
    name = bucket()
    await opened(name, prefix="pre/fix").put("é/a b", b"data", content_type="text/plain")
    whole = opened(name)
    assert await whole.list() == ["pre/fix/é/a b"]
    other = boto3.client(
        "s3",
        endpoint_url=endpoint(),
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    found = other.get_object(Bucket=name, Key="pre/fix/é/a b")
    assert (found["Body"].read(), found["ContentType"]) == (b"data", "text/plain")


async def test_a_store_knows_only_what_lies_below_its_prefix() -> None:
    name = bucket()
    whole, part = opened(name), opened(name, prefix="a")
    await whole.put("ab", b"")
    await whole.put("b", b"")
    await part.put("b", b"below")
    assert await part.list() == ["b"]
    assert await whole.list() == ["a/b", "ab", "b"]
    assert await part.get("b") == b"below"


async def test_credentials_and_endpoint_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    name = bucket()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint())
    store = S3BlobStore(name)
    await store.put("a", b"1")
    assert await store.get("a") == b"1"


async def test_credentials_may_be_asked_for() -> None:
    asked: list[int] = []

    def credentials() -> Any:
        asked.append(1)
        return {"access_key_id": "a", "secret_access_key": "b", "expires_at": None}

    store = S3BlobStore(bucket(), endpoint=endpoint(), region="us-east-1", credentials=credentials)
    await store.put("a", b"1")
    assert asked


async def test_a_copy_opens_the_same_bucket() -> None:
    store = opened(prefix="p")
    await store.put("a", b"1")
    assert await pickle.loads(pickle.dumps(store)).get("a") == b"1"


@pytest.mark.parametrize("method", ["put", "get", "delete", "list", "exists", "content_type"])
async def test_a_missing_bucket_is_no_missing_blob(method: str) -> None:
    store = opened("nosuch")
    args = {"put": ("a", b"1"), "list": ()}.get(method, ("a",))
    with pytest.raises(
        BlobStoreError, match=r"s3://nosuch at http.*NoSuchBucket.*; create the bucket, or correct"
    ) as e:
        await getattr(store, method)(*args)
    assert not isinstance(e.value, KeyError)
    assert "Debug source" not in str(e.value)
    assert "\n" not in str(e.value)


async def test_a_server_that_is_down_is_told_soon() -> None:
    started = time.monotonic()
    with pytest.raises(BlobStoreError, match=r"'a' can't be read from s3://b at http://127\.0\.0\.1:9.*nobody answers"):
        await opened("b", endpoint="http://127.0.0.1:9", retries=1).get("a")
    assert time.monotonic() - started < 20


@asynccontextmanager
async def loopback(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server of this event loop's; its connections end with it."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await answer(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)


async def test_a_server_that_hangs_is_told_after_the_timeout() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.sleep(60)

    async with loopback(hang) as url:
        with pytest.raises(BlobStoreError, match="longer than timeout="):
            await opened("b", endpoint=url, retries=0, timeout=0.3).get("a")


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("InvalidAccessKeyId", "the access key is unknown there"),
        ("SignatureDoesNotMatch", "the secret does not fit"),
        ("AccessDenied", "these credentials may not do that"),
    ],
)
@pytest.mark.parametrize("method", ["put", "get", "list", "exists"])
async def test_wrong_credentials_are_told(code: str, hint: str, method: str) -> None:
    """As S3 answers them; the test server believes everybody."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        if head.startswith(b"HEAD"):
            body = b""
        writer.write(b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async with loopback(refuse) as url:
        store = opened("b", endpoint=url, retries=0)
        with pytest.raises(BlobStoreError, match=hint if method != "exists" else "403 Forbidden"):
            await getattr(store, method)(*{"put": ("a", b"1"), "list": ()}.get(method, ("a",)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bucket": ""}, "'' is no name of a bucket"),
        ({"bucket": "a/b"}, "given as prefix="),
        ({"bucket": 3}, "3 is no name"),
        ({"prefix": "../x"}, "is not a blob key"),
        ({"access_key_id": "a", "secret_access_key": None}, "given together"),
        ({"endpoint": "no url"}, "endpoint='no url': give a URL"),
        ({"endpoint": "http://["}, "give a URL"),
        ({"timeout": 0}, "timeout=0: give seconds, more than 0"),
        ({"timeout": 1e15}, "give seconds, more than 0, up to a day"),
        ({"timeout": -1.0}, "timeout=-1.0: give seconds"),
        ({"retries": -1}, "retries=-1: give a whole number"),
        ({"retries": 1.5}, "retries=1.5: give a whole number"),
    ],
)
def test_what_cannot_be_used_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(**{"name": "bucket", **{("name" if key == "bucket" else key): value for key, value in given.items()}})


async def test_a_missing_key_is_not_found_in_a_bucket_that_is_there() -> None:
    store = opened()
    with pytest.raises(BlobNotFound):
        await store.content_type("a")
    assert not await store.exists("a")
    assert isinstance(store, BlobStore)


def foreign(name: str, key: str) -> None:
    other = boto3.client(
        "s3",
        endpoint_url=endpoint(),
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    other.put_object(Bucket=name, Key=key, Body=b"")


async def test_objects_of_others_that_are_no_blobs() -> None:
    name = bucket()
    store = opened(name)
    await store.put("folder", b"1")
    foreign(name, "folder/")  # as consoles mark folders
    assert await store.list() == ["folder"]
    foreign(name, "a//b")
    with pytest.raises(BlobStoreError, match="a key that is none here: give the store a prefix= of its own"):
        await store.list()
    own = opened(name, prefix="own")
    await own.put("a", b"1")
    assert await own.list() == ["a"]


async def test_prefix_and_key_together_have_a_limit() -> None:
    store = opened(prefix="some/folder")
    await store.put("x" * 1012, b"1")
    assert await store.list() == ["x" * 1012]
    with pytest.raises(ValueError, match="is too long: with the prefix 'some/folder', at most 1,024 bytes"):
        await store.put("x" * 1013, b"1")


FORKING = """
import asyncio, os, sys
from dagstack_plugins import BlobStoreError, S3BlobStore
def opened():
    return S3BlobStore("b", endpoint="http://127.0.0.1:9", region="r", access_key_id="a", secret_access_key="b",
                       retries=0)
async def told(store):
    try:
        await store.get("k")
    except BlobStoreError as error:
        return str(error)
store = opened()
if sys.argv[1] == "used":
    asyncio.run(told(store))
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
for one in (store, opened()):
    print(asyncio.run(told(one)), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("when", ["used", "fresh"])
def test_after_a_fork_nothing_hangs(when: str) -> None:
    program = [sys.executable, "-W", "ignore", "-c", FORKING, when]
    done = subprocess.run(program, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    hint = 'start the process by "spawn"' if when == "used" else "nobody answers there"
    assert [hint in line for line in done.stdout.splitlines()] == [True, True]


def test_without_obstore_the_error_says_what_to_install() -> None:
    program = (
        "import sys, json; sys.modules['obstore'] = None\n"
        "import dagstack_plugins\n"
        "try:\n    dagstack_plugins.S3BlobStore('b')\n"
        "except ImportError as error:\n    print(json.dumps(str(error)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'dagstack-plugins[s3]'" in json.loads(done.stdout)


def test_a_process_ends_well_after_it_used_a_store() -> None:
    """Many at once, as a machine under load is where threads are late."""
    program = (
        "import asyncio, sys, dagstack_plugins\n"
        "store = dagstack_plugins.S3BlobStore('b', endpoint='http://127.0.0.1:9', region='r', access_key_id='a',"
        " secret_access_key='b', retries=0)\n"
        "async def main():\n"
        "    await asyncio.gather(*(store.get('k') for _ in range(50)), return_exceptions=True)\n"
        "asyncio.run(main())\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(24)]
    assert [process.wait() for process in processes] == [0] * 24
