"""HttpxClient, beside real servers on loopback."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme

from dagstack_plugins import HttpClient, HttpError, HttpResponse, HttpTimeout, HttpxClient
from dagstack_plugins.resources.http import public_url
from dagstack_plugins.resources.http_client import _followed

Answer = Callable[["Request"], bytes]


class Request:
    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode().split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)}
        self.body = body


class Server:
    """Answers with whatever bytes a test says, in a thread of its own; empty bytes hang up."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.open = self.ever = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.url = f"{'https' if tls else 'http'}://localhost:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.ever += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                request = Request(head, await reader.readexactly(length))
                self.requests.append(request)
                answer = await asyncio.to_thread(self.answer, request)
                writer.write(answer)
                await writer.drain()
                if not answer or b"connection: close" in answer:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    def stop(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.05)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(answer: Answer, tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(answer, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def answered(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    given = {"content-length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def in_turn(*answers: bytes) -> Answer:
    rest = list(answers)
    return lambda request: rest.pop(0) if len(rest) > 1 else rest[0]


def asked(client: HttpxClient, method: str, url: str, **more: Any) -> Any:
    """What one request gives, in an event loop that ends after it."""
    return asyncio.run(getattr(client, method.lower())(url, **more))


def quick(**settings: Any) -> HttpxClient:
    return HttpxClient(**{"backoff": 0.01, **settings})


# --- requests and answers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_the_four_methods(serve: Serve, method: str) -> None:
    server = serve(lambda request: answered(201, b'{"ok": true}', content_type="application/json", x_a="1"))
    client = HttpxClient(headers={"user-agent": "host/1", "x-mine": "client's"})
    body = {"json": {"n": [1, "é"]}} if method in ("POST", "PUT") else {}
    answer = asked(client, method, server.url + "/a?b=c", headers={"X-Mine": "request's"}, **body)
    assert (answer.status_code, answer.json(), answer.text()) == (201, {"ok": True}, '{"ok": true}')
    assert answer.headers["x-a"] == answer.headers["X-A"] == "1"
    assert "x-b" not in answer.headers
    (seen,) = server.requests
    assert (seen.method, seen.path) == (method, "/a?b=c")
    assert (seen.headers["user-agent"], seen.headers["x-mine"]) == ("host/1", "request's")
    assert (json.loads(seen.body) if body else seen.body) == (body["json"] if body else b"")
    assert isinstance(client, HttpClient)
    assert isinstance(answer, HttpResponse)


def test_text_is_decoded_as_the_server_says(serve: Serve) -> None:
    kinds = {
        "/latin": ("é".encode("latin-1"), "text/plain; charset=latin-1"),
        "/utf": ("é".encode(), "text/plain"),
        **{
            f"/{odd}": ("é".encode(), f"text/plain; charset={odd}")
            for odd in ("klingon", "undefined", "idna", "unicode_escape", "a%00b", "hex")
        },
    }
    server = serve(lambda request: answered(200, kinds[request.path][0], content_type=kinds[request.path][1]))
    assert [asked(quick(), "GET", server.url + path).text() for path in kinds] == ["é"] * len(kinds)


def test_a_body_that_is_no_json_is_told(serve: Serve) -> None:
    server = serve(lambda request: answered(502, b"<html>Bad gateway", content_type="text/html"))
    with pytest.raises(ValueError, match="is not JSON") as caught:
        asked(quick(retries=0), "GET", server.url + "/x").json()
    for part in (f"GET {server.url}/x", "status 502", "content type text/html", "'<html>Bad gateway'"):
        assert part in str(caught.value)


def test_what_a_server_stores_for_one_is_not_sent_for_another(serve: Serve) -> None:
    server = serve(lambda request: answered(set_cookie="session=secret"))

    async def main() -> None:
        client = quick()
        await client.get(server.url)
        await client.get(server.url)

    asyncio.run(main())
    assert ["cookie" in request.headers for request in server.requests] == [False, False]


# --- trying again


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_passes_is_tried_again(serve: Serve, status: int) -> None:
    server = serve(in_turn(answered(status), answered(status), answered(200, b"there")))
    assert asked(quick(), "GET", server.url).text() == "there"
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 404, 500, 501])
def test_what_does_not_pass_is_handed_over_at_once(serve: Serve, status: int) -> None:
    server = serve(lambda request: answered(status))
    assert asked(quick(), "GET", server.url).status_code == status
    assert len(server.requests) == 1


def test_the_last_answer_is_handed_over(serve: Serve) -> None:
    server = serve(lambda request: answered(503, b"still"))
    answer = asked(quick(retries=2), "PUT", server.url, json=1)
    assert (answer.status_code, answer.text()) == (503, "still")
    assert [request.body for request in server.requests] == [b"1"] * 3


def test_what_does_more_when_repeated_is_not(serve: Serve) -> None:
    server = serve(lambda request: answered(503))
    assert asked(quick(), "POST", server.url).status_code == 503
    assert len(server.requests) == 1
    asked(quick(retry_methods={"POST"}), "POST", server.url)
    assert len(server.requests) == 5


def test_waits_grow_and_the_servers_wish_is_kept(serve: Serve) -> None:
    server = serve(in_turn(answered(503), answered(503), answered(503), answered()))
    started = time.monotonic()
    asked(HttpxClient(backoff=0.1), "GET", server.url)
    assert time.monotonic() - started >= 0.05 + 0.1 + 0.2

    server = serve(in_turn(answered(429, retry_after="1"), answered()))
    started = time.monotonic()
    assert asked(quick(), "GET", server.url).status_code == 200
    assert time.monotonic() - started >= 1

    in_two = formatdate(time.time() + 2, usegmt=True)
    server = serve(in_turn(answered(503, retry_after=in_two), answered()))
    started = time.time()
    assert asked(quick(), "GET", server.url).status_code == 200
    assert time.time() >= int(started + 2)


def test_a_short_wish_is_kept_though_the_clients_own_wait_is_as_long_as_may_be(serve: Serve) -> None:
    server = serve(in_turn(answered(503, retry_after="1"), answered()))
    assert asked(quick(backoff=1, max_wait=1), "GET", server.url).status_code == 200


@pytest.mark.parametrize("told", ["3600", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_server_that_asks_for_too_much_gets_none(serve: Serve, told: str) -> None:
    server = serve(lambda request: answered(429, retry_after=told))
    assert asked(quick(max_wait=2), "GET", server.url).headers["retry-after"] == told
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "told",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2024 99999999999999999999:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999",
        "soon",
        "-5",
        "",
        "1e3",
        "²",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Mon, 99 Foo",
    ],
)
def test_a_wish_that_makes_no_sense_is_left_aside(serve: Serve, told: str) -> None:
    server = serve(in_turn(answered(429).replace(b"\r\n\r\n", f"\r\nretry-after: {told}\r\n\r\n".encode()), answered()))
    assert asked(quick(), "GET", server.url).status_code == 200


def test_nobody_there(serve: Serve) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(
            HttpError, match=r"GET http://127\.0\.0\.1:\d+/x failed after 3 attempts: Conn.*look whether"
        ) as caught:
            asked(quick(retries=2), "GET", url)
    assert (caught.value.method, caught.value.attempts) == ("GET", 3)
    assert "secret" not in str(caught.value) + caught.value.url
    assert isinstance(caught.value, OSError)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 100\r\n\r\ncut short", b"nonsense\r\n\r\n"],
    ids=["hangs up", "cut short", "no HTTP"],
)
def test_connections_that_break_are_tried_again_and_told(serve: Serve, answer: bytes) -> None:
    server = serve(in_turn(answer, answered(200, b"whole")))
    assert asked(quick(), "GET", server.url).text() == "whole"
    server = serve(lambda request: answer)
    with pytest.raises(HttpError, match=r"failed after 2 attempts: RemoteProtocolError: .") as caught:
        asked(quick(retries=1), "GET", server.url)
    assert not isinstance(caught.value, TimeoutError)
    with pytest.raises(HttpError, match=r"^POST http://localhost:\d+ failed: RemoteProtocolError: ."):
        asked(quick(), "POST", server.url)


def test_a_server_that_hangs_is_not_asked_again(serve: Serve) -> None:
    go_on = threading.Event()
    server = serve(lambda request: answered(200, b"late") if go_on.wait(10) else b"")
    with pytest.raises(HttpTimeout, match=r"had no answer in time \(ReadTimeout\)") as caught:
        asked(quick(timeout=0.2), "GET", server.url)
    go_on.set()
    assert isinstance(caught.value, TimeoutError)
    assert len(server.requests) == 1


def test_redirects_are_followed_but_not_for_ever(serve: Serve) -> None:
    server = serve(lambda request: answered(302, location="/b") if request.path == "/a" else answered(200, b"b"))
    assert asked(quick(), "GET", server.url + "/a").text() == "b"
    server = serve(lambda request: answered(302, location="/"))
    with pytest.raises(HttpError, match="failed: it was redirected more than 3 times"):
        asked(quick(max_redirects=3), "GET", server.url)
    assert len(server.requests) == 4


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_lose_a_write_is_handed_over(serve: Serve, method: str, status: int) -> None:
    server = serve(lambda request: answered(status, location="/b"))
    answer = asked(quick(), method, server.url)
    assert (answer.status_code, answer.headers["location"]) == (status, "/b")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_a_write_is_followed(serve: Serve, status: int) -> None:
    server = serve(lambda request: answered(200, b"b") if request.path == "/b" else answered(status, location="/b"))
    assert asked(quick(), "PUT", server.url, json={"n": 1}).text() == "b"
    assert [(request.method, request.body) for request in server.requests] == [("PUT", b'{"n":1}')] * 2


def test_keys_and_tokens_stay_with_the_server_that_they_were_meant_for(serve: Serve) -> None:
    other = serve(lambda request: answered(200, b"other"))
    server = serve(
        lambda request: (
            answered(302, location=other.url if request.path == "/away" else "/here")
            if request.path != "/here"
            else answered(200, b"here")
        )
    )
    client = quick(headers={"X-Api-Key": "host's", "user-agent": "host/1"})
    mine = {"X-Token": "plugin's", "accept": "text/plain"}
    assert asked(client, "GET", server.url + "/stay", headers=mine).text() == "here"
    assert server.requests[-1].headers.keys() >= {"x-api-key", "x-token"}
    assert asked(client, "GET", server.url + "/away", headers=mine).text() == "other"
    (seen,) = other.requests
    assert {"x-api-key", "x-token"}.isdisjoint(seen.headers)
    assert (seen.headers["user-agent"], seen.headers["accept"]) == ("host/1", "text/plain")
    assert f"http://{seen.headers['host']}" == other.url


@pytest.mark.parametrize("to", ["ftp://a/b", "file:///etc/passwd", "http://localhost:99999/"])
def test_a_redirect_to_nowhere_is_the_servers_fault(serve: Serve, to: str) -> None:
    server = serve(lambda request: answered(302, location=to))
    with pytest.raises(
        HttpError, match=r"^GET http://localhost:\d+ failed: it was redirected to .*, which is no URL of a server"
    ):
        asked(quick(), "GET", server.url)


@pytest.mark.parametrize(
    ("asked_at", "sent_to", "kept"),
    [
        ("http://a/", "http://a/b", True),
        ("http://a/", "http://a:80/b", True),
        ("http://a/", "https://a/", True),
        ("https://a/", "https://a:443/b", True),
        ("https://a:8443/", "https://a/", False),
        ("http://a:8080/", "https://a/", False),
        ("http://a/", "http://a:443/", False),
        ("http://a/", "https://a:8443/", False),
        ("http://a/", "http://b/", False),
    ],
)
def test_which_servers_are_one(asked_at: str, sent_to: str, kept: bool) -> None:
    request = httpx2.Request("GET", asked_at, headers={"x-key": "1"})
    answer = httpx2.Response(302, request=request)
    answer.next_request = httpx2.Request("GET", sent_to, headers={"x-key": "1"})
    following = _followed(request, answer)
    assert following is not None
    assert ("x-key" in following.headers) == kept


def test_a_redirect_keeps_its_connection(serve: Serve) -> None:
    server = serve(lambda request: answered(302, b"moved", location="/b") if request.path == "/a" else answered())

    async def main() -> None:
        client = quick()
        for _ in range(5):
            await client.get(server.url + "/a")

    asyncio.run(main())
    assert (len(server.requests), server.ever) == (10, 1)


def test_nothing_goes_from_https_to_http(serve: Serve, secure: Server, bundle: Path) -> None:
    plain = serve(lambda request: answered())
    secure.answer = lambda request: answered(302, location=plain.url + "/?token=1")
    with pytest.raises(HttpError, match=r"redirected from https to http \(http://localhost:\d+/\?…\), which is not"):
        asked(quick(verify=bundle), "GET", secure.url)
    assert plain.requests == []


def test_an_answer_that_is_too_long_is_refused(serve: Serve) -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(bytes(20 * 2**20)) + packer.flush()
    server = serve(lambda request: answered(200, bomb, content_encoding="gzip"))
    with pytest.raises(HttpError, match="more than max_bytes=1000000 bytes") as caught:
        asked(quick(max_bytes=1_000_000), "GET", server.url)
    assert (caught.value.attempts, len(bomb) < 100_000) == (1, True)
    assert len(asked(quick(), "GET", server.url).content) == 20 * 2**20


async def test_a_server_that_never_ends_is_given_up() -> None:
    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            writer.close()
            ended.set()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        client = HttpxClient(timeout=5, deadline=0.3)
        with pytest.raises(HttpTimeout, match=r"had no answer in time \(deadline=0.3\)"):
            await client.get(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await client.aclose()
        await ended.wait()


def test_a_call_that_is_cancelled_while_it_waits_ends(serve: Serve) -> None:
    server = serve(lambda request: answered(503))

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await HttpxClient(backoff=30).get(server.url)

    asyncio.run(main())
    assert len(server.requests) == 1


# --- trust


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(serve: Serve, authority: trustme.CA) -> Server:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    return serve(lambda request: answered(200, b"secure"), tls)


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def test_a_certificate_that_does_not_verify_is_told_at_once(secure: Server) -> None:
    with pytest.raises(HttpError, match=r"failed: SSLCertVerificationError: .*verify failed.*HttpxClient\(verify=…\)"):
        asked(quick(backoff=30), "GET", secure.url)
    assert secure.requests == []


@pytest.mark.parametrize("form", ["path", "text", "context", "off"])
def test_trust_can_be_given(secure: Server, bundle: Path, form: str) -> None:
    context = ssl.create_default_context(cafile=bundle)
    trust: Any = {"path": bundle, "text": str(bundle), "context": context, "off": False}[form]
    assert asked(quick(verify=trust), "GET", secure.url).text() == "secure"


def test_a_certificate_for_another_host_is_refused(secure: Server, bundle: Path) -> None:
    with pytest.raises(HttpError, match=r"SSLCertVerificationError: .*not valid for '127.0.0.1'"):
        asked(quick(verify=bundle), "GET", secure.url.replace("localhost", "127.0.0.1"))


def test_a_bundle_that_is_missing_or_empty_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the CA bundle .*none\.pem does not exist"):
        HttpxClient(verify=tmp_path / "none.pem")
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(ValueError, match=r"text\.pem holds no certificate in PEM form"):
        HttpxClient(verify=tmp_path / "text.pem")
    assert HttpxClient(verify=tmp_path)  # a folder of certificates


# --- many loops and threads


def test_a_thousand_requests_from_four_threads_and_four_loops(serve: Serve) -> None:
    server = serve(lambda request: answered(200, request.path.encode()))
    client = quick()
    found: list[str] = []

    def work(worker: int) -> None:
        async def main() -> None:
            urls = [f"{server.url}/{worker}/{number}" for number in range(250)]
            answers = await asyncio.gather(*map(client.get, urls))
            found.extend(answer.text() for answer in answers)

        asyncio.run(main())

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(f"/{worker}/{number}" for worker in range(4) for number in range(250))


def test_connections_close_with_their_loop(serve: Serve) -> None:
    server = serve(lambda request: answered())
    client = quick()
    for _ in range(5):
        asked(client, "GET", server.url)
    gc.collect()  # what was left open would warn now
    _wait_until(lambda: server.open == 0)


async def test_a_request_under_way_is_told_of_the_closing(serve: Serve) -> None:
    go_on = threading.Event()
    server = serve(lambda request: answered() if go_on.wait(10) else b"")
    client = HttpxClient()
    asking = asyncio.ensure_future(client.get(server.url))
    await asyncio.to_thread(_wait_until, lambda: bool(server.requests))
    await client.aclose()
    with pytest.raises(RuntimeError, match="the HttpxClient is closed"):
        await asking
    go_on.set()


async def test_closing_closes_the_connections_of_all_loops(serve: Serve) -> None:
    server = serve(lambda request: answered())
    client = quick()
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    await client.get(server.url)
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.get(server.url), other))
    assert server.open == 2
    await client.aclose()
    await client.aclose()
    await asyncio.to_thread(_wait_until, lambda: server.open == 0)
    with pytest.raises(RuntimeError, match="the HttpxClient is closed"):
        await client.get(server.url)
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()


def _wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


RESTARTING = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args): pass
class Server(ThreadingHTTPServer):
    request_queue_size = 128
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def _started(port: int) -> tuple[subprocess.Popen[bytes], int]:
    server = subprocess.Popen([sys.executable, "-c", RESTARTING, str(port)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    return server, int(server.stdout.readline())


async def test_a_server_that_restarts_is_ridden_out() -> None:
    server, port = _started(0)
    client = HttpxClient(retries=6, backoff=0.2)
    answers: list[str] = []

    async def ask() -> None:
        for _ in range(50):
            answer = await client.get(f"http://127.0.0.1:{port}/")
            answers.append(answer.text())

    asking = asyncio.gather(*(ask() for _ in range(8)))
    for _ in range(2):
        before = len(answers)
        while len(answers) < before + 40:
            await asyncio.sleep(0.005)
        server.kill()
        await asyncio.to_thread(server.communicate)
        server, _ = await asyncio.to_thread(_started, port)
    await asking
    assert answers == ["ok"] * 400
    await client.aclose()
    server.kill()
    server.communicate()


# --- settings


def test_a_copy_has_the_same_settings(serve: Serve, secure: Server, bundle: Path) -> None:
    client = quick(verify=bundle, retries=1, headers={"x-a": "1"}, timeout=3)
    copy = pickle.loads(pickle.dumps(client))
    assert asked(copy, "GET", secure.url).text() == "secure"
    assert secure.requests[0].headers["x-a"] == "1"
    with pytest.raises(TypeError, match="can't be copied: give verify= the CA bundle's path"):
        pickle.dumps(quick(verify=ssl.create_default_context()))


def test_a_proxy_that_makes_no_sense_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://proxy")
    with pytest.raises(ValueError, match="gopher"):
        HttpxClient()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"retries": -1}, "retries=-1: give a whole number from 0"),
        ({"retries": 1.5}, "retries=1.5: give a whole number"),
        ({"backoff": -1}, "backoff=-1: give seconds"),
        ({"backoff": float("nan")}, "backoff=nan: give seconds"),
        ({"timeout": 0 - 1}, "timeout=-1: give seconds"),
        ({"timeout": "5"}, "timeout='5': give seconds"),
        ({"max_wait": float("inf")}, "max_wait=inf: give seconds"),
        ({"max_bytes": -1}, "max_bytes=-1: give a whole number"),
        ({"deadline": "1"}, "deadline='1': give seconds"),
        ({"max_redirects": None}, "max_redirects=None: give a whole number"),
        ({"retry_methods": "GET"}, "retry_methods='GET': give a set"),
        ({"retry_methods": {"PATCH"}}, "retry_methods="),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HttpxClient(**settings)


@pytest.mark.parametrize(
    ("url", "more", "error", "message"),
    [
        ("ftp://x", {}, ValueError, "'ftp://x' is no URL of a server: it begins with http:// or https://"),
        ("/path", {}, ValueError, "'/path' is no URL of a server"),
        ("http://x:port/", {}, ValueError, "'http://x:port/' is no URL"),
        ("http://x:99999/", {}, ValueError, "'http://x:99999/' is no URL"),
        ("http:///path", {}, ValueError, "is no URL of a server"),
        ("https://user:secret/w@x:y/?key=z", {}, ValueError, "is no URL of a server"),
        ("htp://user:secret@x/", {}, ValueError, "'htp://x/' is no URL of a server"),
        (3, {}, TypeError, "int"),
    ],
)
def test_what_cannot_be_sent_is_the_callers_mistake(url: Any, more: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        asked(quick(), "GET", url, **more)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a/b", "https://a/b"),
        ("https://user:word@a:1/b?key=1#part", "https://a:1/b?…"),
        ("http://user:P/W@a/", "http://a/"),
        ("htp://u:p@a", "htp://a"),
    ],
)
def test_messages_show_urls_without_what_may_be_secret(url: str, shown: str) -> None:
    assert public_url(url) == shown


def test_a_path_with_an_at_sign_is_shown(serve: Serve) -> None:
    server = serve(lambda request: answered())
    assert repr(asked(quick(), "GET", server.url + "/@scope/name")).startswith(
        f"<Response 200 to GET {server.url}/@scope/name,"
    )


def test_what_is_no_json_and_no_header_cannot_be_sent(serve: Serve) -> None:
    server = serve(lambda request: answered())
    for value in ("secret\n", "secret\r", "secret\x00", " secret"):
        with pytest.raises(ValueError, match=r"^the header 'a' can't be sent") as caught:
            asked(quick(), "GET", server.url, headers={"a": value})
        assert "secret" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(TypeError, match="the header 'a' is a int: names and values are texts"):
        asked(quick(), "GET", server.url, headers={"a": 3})
    with pytest.raises(ValueError, match="the header 'x y' can't be sent"):
        HttpxClient(headers={"x y": "1"})
    assert server.requests == []
    with pytest.raises(
        TypeError, match=r"^the body of POST http://localhost:\d+ can't be JSON: .*not JSON serializable"
    ):
        asked(quick(), "POST", server.url, json={"when": object()})
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    for body in (float("nan"), {"a": "\ud800"}, nested):
        with pytest.raises(ValueError, match=r"^the body of POST http://.* can't be JSON: "):
            asked(quick(), "POST", server.url, json=body)
    with pytest.raises(ValueError, match=r"^the header 'a' can't be sent"):
        asked(quick(), "GET", server.url, headers={"a": "é"})
    with pytest.raises(ValueError, match=r"^the header 'a' can't be sent"):
        HttpxClient(headers={"a": "é"})


def test_without_httpx2_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['httpx2'] = None\n"
        "import dagstack_plugins\n"
        "try:\n    dagstack_plugins.HttpxClient()\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'dagstack-plugins[http]'" in done.stdout
