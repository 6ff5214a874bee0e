"""StubHttpClient: answers as it was told."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from typing import Any

import pytest

from dagstack_plugins import HttpClient, HttpError, HttpResponse, HttpTimeout, StubHttpClient, UnexpectedRequest

URL = "https://api.example/users/1"


@pytest.fixture
def stub() -> StubHttpClient:
    return StubHttpClient()


async def test_it_is_a_client_and_its_answers_are_answers(stub: StubHttpClient) -> None:
    stub.on("GET", URL, status=201, json={"name": "Ada"}, headers={"X-Page": "2"})
    answer = await stub.get(URL, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json(), answer.headers["x-page"]) == (201, {"name": "Ada"}, "2")
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(stub, HttpClient)
    assert isinstance(answer, HttpResponse)


@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
async def test_it_remembers_what_it_was_asked(stub: StubHttpClient, method: str) -> None:
    stub.on("*", URL)
    body: dict[str, Any] = {"json": {"n": [1]}} if method in ("post", "put") else {}
    await getattr(stub, method)(URL, headers={"X-A": "1"}, **body)
    if body:
        body["json"]["n"].append(2)  # what was sent stays as it was
    (call,) = stub.calls
    assert (call.method, call.url, call.headers["x-a"]) == (method.upper(), URL, "1")
    assert call.json == ({"n": [1]} if body else None)


async def test_answers_come_in_order_each_as_often_as_told(stub: StubHttpClient) -> None:
    stub.on("GET", URL, status=503, times=2)
    stub.on("GET", URL, raises=HttpTimeout("slow"), times=1)
    stub.on("GET", URL, text="there")
    assert [(await stub.get(URL)).status_code for _ in range(2)] == [503, 503]
    with pytest.raises(HttpTimeout, match="slow"):
        await stub.get(URL)
    assert [(await stub.get(URL)).text() for _ in range(3)] == ["there"] * 3


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("https://a/x", "https://a/x", "https://a/xy"),
        ("https://a/*", "https://a/x/y?z=1", "https://b/x"),
        ("https://a/?q=1", "https://a/?q=1", "https://a/xq=1"),
        ("*/end", "https://a/end", "https://a/end/"),
        (re.compile(r"https://a/\d+"), "https://a/42", "https://a/42/x"),
    ],
)
async def test_urls_are_whole_or_have_stars_or_are_patterns(
    stub: StubHttpClient, pattern: Any, fits: str, does_not: str
) -> None:
    stub.on("GET", pattern)
    assert (await stub.get(fits)).status_code == 200
    with pytest.raises(UnexpectedRequest):
        await stub.get(does_not)


async def test_an_unexpected_request_fails_with_what_is_programmed(stub: StubHttpClient) -> None:
    with pytest.raises(UnexpectedRequest, match=r"unexpected request: GET .*\n  nothing: call stub\.on\(…\) first"):
        await StubHttpClient().get(URL)
    stub.on("GET", URL, times=1)
    stub.on("POST", re.compile("https://b/.*"), raises=HttpError)
    await stub.get(URL)
    with pytest.raises(AssertionError) as caught:
        await stub.get(URL)
    assert str(caught.value).splitlines() == [
        f"unexpected request: GET {URL}; programmed is",
        f"  - GET {URL} -> 200 (answered 1 of 1 times)",
        "  - POST /https://b/.*/ -> raises <class 'dagstack_plugins.resources.http.HttpError'> (answered 0 times)",
    ]
    assert [call.url for call in stub.calls] == [URL, URL]


async def test_verify_finds_what_a_plugin_swallowed_and_what_it_left(stub: StubHttpClient) -> None:
    stub.verify()
    stub.on("GET", URL, times=2)
    stub.on("PUT", URL)
    await stub.get(URL)
    stub.verify(unused=False)
    with pytest.raises(AssertionError, match=r"not used up: GET .* \(answered 1 of 2 times\)\nnot used up: PUT"):
        stub.verify()
    with pytest.raises(UnexpectedRequest):
        await stub.delete(URL)
    with pytest.raises(AssertionError, match="unexpected request: DELETE"):
        stub.verify(unused=False)


async def test_a_slow_answer_holds_up_nobody_else(stub: StubHttpClient) -> None:
    stub.on("GET", "https://slow/", latency=0.2)
    stub.on("GET", "https://quick/")
    started = time.monotonic()
    slow = asyncio.create_task(stub.get("https://slow/"))
    await asyncio.sleep(0)
    await stub.get("https://quick/")
    assert not slow.done()
    await slow
    assert time.monotonic() - started >= 0.2


def test_many_threads_get_each_answer_once(stub: StubHttpClient) -> None:
    for number in range(64):
        stub.on("GET", URL, json=number, times=1)
    found: list[int] = []

    def work() -> None:
        async def main() -> None:
            for _ in range(8):
                answer = await stub.get(URL)
                found.append(answer.json())

        asyncio.run(main())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(64))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"method": "PATCH"}, ValueError, "GET, POST, PUT and DELETE, got 'PATCH'"),
        ({"url": b"x"}, TypeError, "got bytes"),
        ({"status": 99}, ValueError, "status=99: give a number from 100"),
        ({"status": "200"}, ValueError, "status='200'"),
        ({"times": 0}, ValueError, "times=0: give a whole number from 1"),
        ({"latency": -1}, ValueError, "latency=-1: give seconds"),
        ({"raises": "oops"}, TypeError, "raises='oops': give an exception"),
        ({"json": 1, "text": "1"}, TypeError, "got json and text: give one of them"),
        ({"json": object()}, TypeError, "not JSON serializable"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    stub: StubHttpClient, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        stub.on(**{"method": "GET", "url": URL, **given})
    assert repr(stub) == "<StubHttpClient with 0 rules, 0 calls>"


async def test_what_no_client_could_send_is_refused(stub: StubHttpClient) -> None:
    stub.on("POST", URL)
    for body in (object(), {"x": float("nan")}, {"x": b""}):
        with pytest.raises((TypeError, ValueError)):
            await stub.post(URL, json=body)


async def test_what_no_client_would_send_is_refused_here_too(stub: StubHttpClient) -> None:
    stub.on("*", "*")
    for url in ("ftp://a/", "/relative", "http:///", "http://a:99999/"):
        with pytest.raises(ValueError, match="is no URL of a server"):
            await stub.get(url)
    with pytest.raises(ValueError, match="the header 'a' can't be sent"):
        await stub.get(URL, headers={"a": "b\n"})
    assert stub.calls == []


async def test_an_error_is_a_fresh_one_for_each_call(stub: StubHttpClient) -> None:
    programmed = HttpTimeout("slow", method="GET", attempts=3)
    stub.on("GET", URL, raises=programmed)
    raised = []
    for _ in range(2):
        with pytest.raises(HttpTimeout) as caught:
            await stub.get(URL)
        caught.value.add_note("seen")
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert (str(raised[1]), raised[1].attempts, raised[1].__notes__) == ("slow", 3, ["seen"])
    assert programmed.__traceback__ is None


async def test_bodies_that_are_bytes_or_no_json(stub: StubHttpClient) -> None:
    stub.on("GET", "https://a/1", content=b"\xff\x00")
    stub.on(
        "GET", "https://a/3", content="é".encode("latin-1"), headers={"Content-Type": "text/plain; charset=latin-1"}
    )
    assert (await stub.get("https://a/3")).text() == "é"
    stub.on("GET", "https://a/2", text="<html>", headers={"Content-Type": "text/html"})
    assert (await stub.get("https://a/1")).content == b"\xff\x00"
    with pytest.raises(ValueError, match=r"what answered GET https://a/2 is not JSON.*content type text/html"):
        (await stub.get("https://a/2")).json()
