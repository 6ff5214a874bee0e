"""Plugins that are services, spoken to over HTTP."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from dagstack_plugins import (
    ManifestInvalid,
    PayloadInvalid,
    PluginError,
    PluginRegistry,
    PluginState,
    PluginUnavailable,
)
from tests.waiting import until

from .conftest import TIMES, status_of, wires
from .service import Service, serving

WritePlugin = Callable[..., Path]


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as service:
        yield service


@pytest.fixture
def remote(plugins: Path) -> WritePlugin:
    """Write the folder of a plugin: ``remote(url, table of the manifest's mcp_http…)``."""

    def write(url: str, name: str = "delphi", fields: dict[str, Any] | None = None, **table: Any) -> Path:
        folder = plugins / name
        folder.mkdir(exist_ok=True)
        http = {"url": url, "backoff_sec": 0.01, "max_retries": 0, **table}
        manifest = {"name": name, "kind": "oracle", "core_version": ">=0.1", "runtime": "mcp_http", "mcp_http": http}
        (folder / "dagstack.json").write_text(json.dumps({"plugin": {**manifest, **(fields or {})}}))
        return folder

    return write


def answers(registry: PluginRegistry, name: str = "delphi") -> bool:
    try:
        return bool(registry.get_plugin("oracle", name).ask("hm").answer == f"{name}: hm")
    except (PluginUnavailable, TimeoutError):
        return False


def test_a_call_is_like_one_in_process(
    registry: PluginRegistry, service: Service, remote: WritePlugin, plugins: Path
) -> None:
    remote(service.url)
    registry.discover(plugins)
    with registry.running():
        assert status_of(registry, "delphi").runtime == "mcp_http"
        answer = registry.get_plugin("oracle", "delphi").ask("why?")
        assert type(answer) is registry.types("oracle").AskOutput
        assert answer.answer == "delphi: why?"
        assert registry.get_plugin("oracle", "delphi").ask("events").answer == "delphi: events"
        assert registry.kind("oracle").anything(value={"a": None}) == [{"a": None}]
    assert service.heard[-1] == "DELETE"  # of the session


@pytest.mark.parametrize("sessions", [True, False])
def test_services_with_and_without_sessions(
    registry: PluginRegistry, service: Service, remote: WritePlugin, plugins: Path, sessions: bool
) -> None:
    service.session = "abc" if sessions else None
    remote(service.url)
    registry.discover(plugins)
    with registry.running():
        assert answers(registry)
    assert ("DELETE" in service.heard) == sessions


# Secrets


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ({"auth_header": "X-Key"}, ("X-Key", "s3cr3t")),
        ({"auth_header": "Authorization"}, ("Authorization", "Bearer s3cr3t")),
        ({}, ("Authorization", "Bearer s3cr3t")),
    ],
)
def test_a_secret_goes_in_its_header_and_nowhere_else(
    registry: PluginRegistry,
    service: Service,
    remote: WritePlugin,
    plugins: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    table: dict[str, str],
    wanted: tuple[str, str],
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DELPHI_SECRET", "s3cr3t\n")
    service.token = wanted
    remote(service.url, auth_secret_env="DELPHI_SECRET", **table)
    registry.discover(plugins)
    with registry.running():
        assert answers(registry)
        service.token = ("X-Key", "another")
        with pytest.raises(PluginError, match="the service answered 401 Unauthorized; look at auth_header") as caught:
            registry.get_plugin("oracle", "delphi").ask("hm")
        told = "".join([str(caught.value), repr(registry.status()), *getattr(caught.value, "__notes__", [])])
    assert "s3cr3t" not in told
    assert "s3cr3t" not in caplog.text


def test_a_secret_of_another_scheme_is_sent_as_it_stands(
    registry: PluginRegistry, service: Service, remote: WritePlugin, plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELPHI_SECRET", "Basic dTpw")
    service.token = ("Authorization", "Basic dTpw")
    remote(service.url, auth_secret_env="DELPHI_SECRET")
    registry.discover(plugins)
    with registry.running():
        assert answers(registry)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "the environment variable DELPHI_SECRET, which holds its secret, is not set"),
        ("", "the environment variable DELPHI_SECRET, which holds its secret, is not set"),
        ("wr\nong", "the environment variable DELPHI_SECRET holds what can't be sent in a header"),
        ("wröng", "the environment variable DELPHI_SECRET holds what can't be sent in a header"),
        ("wrong", "the service answered 401 Unauthorized"),
    ],
)
def test_a_secret_that_is_none_is_told_and_never_shown(
    registry: PluginRegistry,
    service: Service,
    remote: WritePlugin,
    plugins: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: str | None,
    told: str,
) -> None:
    monkeypatch.delenv("DELPHI_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("DELPHI_SECRET", value)
    service.token = ("X-Key", "right")
    remote(service.url, auth_header="X-Key", auth_secret_env="DELPHI_SECRET")
    registry.discover(plugins)
    with registry.running():
        status = status_of(registry, "delphi")
        assert status.state is PluginState.UNAVAILABLE
        assert told in status.reason
        assert not value or value not in status.reason


def test_a_header_without_a_secret_is_a_faulty_manifest(registry: PluginRegistry, remote: WritePlugin) -> None:
    registry.discover(remote("http://127.0.0.1:1", auth_header="X-Key"))
    error = status_of(registry, "delphi").error
    assert isinstance(error, ManifestInvalid)
    assert "plugin.mcp_http.auth_header: needs auth_secret_env" in str(error)


@pytest.mark.parametrize("url", ["tools.example/mcp", "ftp://tools.example", "http://", "//tools.example", "", 5])
def test_an_address_without_a_scheme_is_a_faulty_manifest(
    registry: PluginRegistry, remote: WritePlugin, plugins: Path, url: Any
) -> None:
    registry.discover(remote(url))
    (status,) = registry.status()
    assert isinstance(status.error, ManifestInvalid)
    assert "plugin.mcp_http.url" in str(status.error)


def test_a_password_in_the_address_is_a_faulty_manifest(registry: PluginRegistry, remote: WritePlugin) -> None:
    registry.discover(remote("https://user:pa55@tools.example/mcp"))
    (status,) = registry.status()
    assert isinstance(status.error, ManifestInvalid)
    assert "plugin.mcp_http.url: holds a user or a password; auth_secret_env names the variable" in str(status.error)


def test_no_proxy_sees_what_stays_on_this_machine(
    registry: PluginRegistry,
    service: Service,
    remote: WritePlugin,
    plugins: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    remote(service.url)
    registry.discover(plugins)
    with registry.running():
        assert answers(registry)


# TLS


def test_certificates_are_checked_by_the_bundle_that_the_manifest_names(
    registry: PluginRegistry, remote: WritePlugin, plugins: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with serving(context=context) as service:
        url = service.url.replace("http", "https")
        folder = remote(url, tls_ca_bundle="ca.pem")
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        remote(url, "distrustful")
        remote(url, "blind", tls_verify=False, fields={"kind": "oracle"})
        remote(url, "bundleless", tls_ca_bundle="missing.pem")
        (remote(url, "empty", tls_ca_bundle="empty.pem") / "empty.pem").write_text("nothing")
        service.tools = [
            {"name": f"oracle.{name}.ask", "inputSchema": {"type": "object"}} for name in ("delphi", "blind")
        ]
        registry.discover(plugins)
        with registry.running():
            assert registry.get_plugin("oracle", "delphi").ask("hm").answer == "delphi: hm"
            assert registry.get_plugin("oracle", "blind").ask("hm").answer == "delphi: hm"
            reasons = {status.name: status.reason for status in registry.status()}
        assert "tls_ca_bundle names the certificates to trust" in reasons["distrustful"]
        assert "tls_ca_bundle: there is no " in reasons["bundleless"]
        assert "holds no certificate in PEM form" in reasons["empty"]
        assert "its server is trusted blindly, as tls_verify = false" in caplog.text


# Away, and there again


def test_a_service_that_is_down_at_start_is_used_as_soon_as_it_is_there(
    registry: PluginRegistry, remote: WritePlugin, plugins: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with serving() as service:
        port = service.port
    remote(f"http://127.0.0.1:{port}/mcp")
    registry.discover(plugins)
    with registry.running():
        status = status_of(registry, "delphi")
        assert status.state is PluginState.UNAVAILABLE
        assert "the service can't be reached" in status.reason
        assert "it is tried again in" in status.reason
        with pytest.raises(PluginUnavailable, match="the service can't be reached"):
            registry.get_plugin("oracle", "delphi").ask("?")
        with serving(port=port):
            until(lambda: status_of(registry, "delphi").state is PluginState.READY)
            assert answers(registry)
            assert "plugin oracle/delphi is ready again" in caplog.text
    assert status_of(registry, "delphi").state is PluginState.STOPPED
    assert caplog.text.count("is unavailable") == 1


def test_one_that_never_comes_is_stopped_with_the_others(
    registry: PluginRegistry, remote: WritePlugin, plugins: Path
) -> None:
    remote("http://127.0.0.1:9/mcp")
    registry.discover(plugins)
    before = wires()
    with registry.running():
        assert status_of(registry, "delphi").state is PluginState.UNAVAILABLE
    assert status_of(registry, "delphi").state is PluginState.STOPPED
    assert wires() <= before


def test_strict_takes_one_that_is_not_there_for_a_failure(
    registry: PluginRegistry, remote: WritePlugin, plugins: Path
) -> None:
    remote("http://127.0.0.1:9/mcp")
    registry.discover(plugins)
    before = wires()
    with pytest.raises(ExceptionGroup):
        asyncio.run(registry.setup_all(strict=True))
    assert wires() <= before


def test_a_service_that_goes_opens_its_circuit_and_is_used_again_when_it_comes(
    registry: PluginRegistry, remote: WritePlugin, plugins: Path
) -> None:
    with serving() as service:
        port = service.port
        remote(service.url)
        registry.discover(plugins)
        with registry.running():
            assert answers(registry)
            service.stop()
            for _ in range(5):
                with pytest.raises(PluginUnavailable, match=r"the service (can't be reached|did not answer)"):
                    registry.get_plugin("oracle", "delphi").ask("?")
            until(lambda: status_of(registry, "delphi").state is PluginState.UNAVAILABLE)
            assert re.search(
                "its circuit is open: 5 calls in a row|can't be reached", status_of(registry, "delphi").reason
            )
            with serving(port=port):
                until(lambda: answers(registry))


def test_a_session_that_the_service_ends_is_begun_again(
    registry: PluginRegistry, service: Service, remote: WritePlugin, plugins: Path
) -> None:
    remote(service.url)
    registry.discover(plugins)
    with registry.running():
        with pytest.raises(PluginUnavailable, match="the service ended the session"):
            registry.get_plugin("oracle", "delphi").ask("gone")
        until(lambda: answers(registry))


def test_what_could_not_be_delivered_is_sent_again_and_no_more(
    registry: PluginRegistry, service: Service, remote: WritePlugin, plugins: Path
) -> None:
    remote(service.url, max_retries=8, backoff_sec=0.02)
    registry.discover(plugins)
    with registry.running(), ThreadPoolExecutor() as pool:
        ask = registry.get_plugin("oracle", "delphi").ask
        with pytest.raises(PluginUnavailable, match="the service did not answer"):
            ask("reset")
        assert service.heard.count("reset") == 1
        port = service.port
        service.stop()
        call = pool.submit(ask, "hm")
        time.sleep(0.1)
        with serving(port=port):
            assert call.result(30).answer == "delphi: hm"


# Misbehaving


@pytest.mark.parametrize(
    ("question", "error", "told"),
    [
        ("reset", PluginUnavailable, "the service did not answer"),
        ("half", PluginUnavailable, "the service broke off its answer"),
        ("broken", PluginUnavailable, "the service broke off its answer"),
        ("wrong", PluginError, "refused the call: Failed to parse JSON response"),
        ("page", PluginError, "refused the call: Unexpected content type: text/html"),
        ("status 400", PluginError, "refused the call: the service answered 400 Bad Request"),
        ("status 403", PluginError, "refused the call: the service answered 403 Forbidden; look at auth_header"),
        ("status 503", PluginUnavailable, "the service answered 503 Service Unavailable"),
        ("error", PluginError, r"refused the call: not like this \\x1b\[2J x*$"),
        ("redirect https://elsewhere.example/", PluginError, "Redirect to https://elsewhere.example/ not followed"),
        ("long 20000000", PayloadInvalid, "its answer has more than 10485760 bytes"),
        ("events 20000000", PayloadInvalid, "exceeded the 10485760 byte limit"),
        ("other", TimeoutError, r"the call took longer than mcp_http\.timeout_sec = 1"),
        ("wait 3", TimeoutError, r"the call took longer than mcp_http\.timeout_sec = 1"),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_its_call_alone(
    registry: PluginRegistry,
    service: Service,
    remote: WritePlugin,
    plugins: Path,
    question: str,
    error: type[Exception],
    told: str,
) -> None:
    remote(service.url, timeout_sec=1)
    registry.discover(plugins)
    with registry.running(), ThreadPoolExecutor() as pool:
        ask = registry.get_plugin("oracle", "delphi").ask
        other = pool.submit(ask, "wait 0.3")
        time.sleep(0.05)
        with pytest.raises(error, match=told) as caught:
            ask(question)
        assert len(str(caught.value)) < 2000
        assert other.result().answer == "delphi: wait 0.3"
        assert answers(registry)


def test_the_shorter_of_both_timeouts_counts(
    registry: PluginRegistry, service: Service, remote: WritePlugin, plugins: Path
) -> None:
    remote(service.url, timeout_sec=30, fields={"call_timeout_sec": 0.1})
    registry.discover(plugins)
    with registry.running(), pytest.raises(TimeoutError, match=r"call_timeout_sec = 0\.1"):
        registry.get_plugin("oracle", "delphi").ask("wait 1")


@pytest.mark.parametrize("status", [404, 500, 200])
def test_what_speaks_no_mcp_is_unavailable(
    registry: PluginRegistry, service: Service, remote: WritePlugin, plugins: Path, status: int
) -> None:
    service.status = status
    remote(service.url)
    registry.discover(plugins)
    with registry.running():
        assert status_of(registry, "delphi").state is PluginState.UNAVAILABLE
        told = "the service answered 500" if status == 500 else "the handshake failed: "
        assert status_of(registry, "delphi").reason.startswith(told)
        service.status = 0
        until(lambda: answers(registry))


@pytest.mark.parametrize("fault", ["reset", "half", "wrong", "other", "wait 1", "status 502", "flap"])
def test_faults_hurt_nobody_else(registry: PluginRegistry, remote: WritePlugin, plugins: Path, fault: str) -> None:
    with serving() as service, serving("dodona") as calm:
        remote(service.url, timeout_sec=0.15, backoff_sec=0)
        remote(calm.url, "dodona")
        registry.discover(plugins)
        with registry.running():
            assert answers(registry)
            until(lambda: answers(registry, "dodona"))
            process, flapping = psutil.Process(), service
            gc.collect()
            descriptors, threads = process.num_fds(), threading.active_count()
            others: list[str] = []
            over = threading.Event()

            def go_on() -> None:
                ask = registry.get_plugin("oracle", "dodona").ask
                while not over.is_set():
                    others.append(ask("fine?").answer)

            caller = threading.Thread(target=go_on)
            caller.start()
            outcomes = []
            try:
                with ThreadPoolExecutor(4) as pool:
                    for _ in range(TIMES):
                        until(lambda: answers(registry))
                        began = time.monotonic()
                        ask = registry.get_plugin("oracle", "delphi").ask
                        calls = [pool.submit(ask, question) for question in ("wait 0.05", fault, "hm")]
                        if fault == "flap":
                            port = flapping.port
                            flapping.stop()
                            flapping = Service(port=port)
                        for call in calls:
                            try:
                                outcomes.append(call.result(10).answer)
                            except (PluginUnavailable, PluginError, TimeoutError) as error:
                                outcomes.append(type(error).__name__)
                        assert time.monotonic() - began < 5
            finally:
                over.set()
                caller.join(20)
            assert len(outcomes) == 3 * TIMES
            assert set(others) == {"dodona: fine?"}
            until(lambda: answers(registry))
            gc.collect()
            # Connections are kept, of both sides, as both are in this process.
            until(lambda: process.num_fds() <= descriptors + 2 * 6)
            until(lambda: threading.active_count() <= threads + 6)
        flapping.stop()


def test_a_host_asks_no_service_before_it_starts(
    registry: PluginRegistry, service: Service, remote: WritePlugin, plugins: Path
) -> None:
    remote(service.url)
    registry.discover(plugins)
    assert service.headers == []
    assert status_of(registry, "delphi").state is PluginState.REGISTERED
