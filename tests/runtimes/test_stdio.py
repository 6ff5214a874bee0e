"""Plugins that are programs of their own, spoken to over their standard streams."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    PayloadInvalid,
    PluginContext,
    PluginError,
    PluginRegistry,
    PluginState,
    PluginUnavailable,
)
from tests.waiting import until

from .conftest import WriteServer, status_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="mcp_stdio needs POSIX")


# The same call


def test_a_call_is_like_one_in_process(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        assert status_of(registry, "delphi").runtime == "mcp_stdio"
        proxy = registry.get_plugin("oracle", "delphi")
        answer = proxy.ask("why?")
        assert type(answer) is registry.types("oracle").AskOutput
        assert answer.answer == "delphi: why?"
        assert proxy.ask(registry.types("oracle").AskInput(question="and why?")).answer == "delphi: and why?"


async def test_it_follows_the_hooks_colour_and_never_settles_it(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi")
    registry.discover(plugins)
    async with registry.running():
        proxy = registry.get_plugin("oracle", "delphi")
        # On the very loop that plugins live on, a plain hook blocks until its value is there.
        assert proxy.ask("here?").answer == "delphi: here?"
        assert (await proxy.aio.ask("and here?")).answer == "delphi: and here?"
        assert (await asyncio.to_thread(proxy.ask, "there?")).answer == "delphi: there?"


async def test_where_others_make_a_hook_async_it_is_awaited(
    registry: PluginRegistry, server: WriteServer, plugins: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Here:
        async def ask(self, question: str) -> dict[str, str]:
            return {"answer": f"here: {question}"}

    server("delphi")
    registry.discover(plugins)
    registry.register(Here(), {"name": "here", "kind": "oracle", "core_version": ">=0.1", "runtime": "in_process"})
    async with registry.running():
        for name in ("delphi", "here"):
            assert (await registry.get_plugin("oracle", name).ask("who?")).answer == f"{name}: who?"
    assert "is async, as it is a coroutine function" not in caplog.text


@pytest.mark.parametrize("value", [0, 7, -1, None, "five", [5], {"result": 5}, 1.5])
def test_what_is_no_object_travels_under_one_key(
    registry: PluginRegistry, server: WriteServer, plugins: Path, value: Any
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        call = registry.get_plugin("oracle", "delphi").number
        if type(value) is int:
            assert call(value=value) == value
        else:
            with pytest.raises(PayloadInvalid, match="what plugin 'delphi' returned is not valid"):
                call(value=value)


@pytest.mark.parametrize("value", [{}, {"a": None, "b": [1, {"c": "ü€😀"}]}, {"result": 1, "more": 2}])
def test_objects_travel_as_they_are(registry: PluginRegistry, server: WriteServer, plugins: Path, value: Any) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        assert registry.kind("oracle").anything(value=value) == [value]


@pytest.mark.parametrize(("text", "value"), [("[1, 2]", [1, 2]), ("no json", "no json"), ("5", 5), ("", "")])
def test_servers_without_structured_answers_answer_in_text(
    registry: PluginRegistry, server: WriteServer, plugins: Path, text: str, value: Any
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        assert registry.kind("oracle").anything(text=text) == [value]


def test_chains_pass_through_other_processes(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    for name in ("a", "b", "c"):
        server(name)
    registry.discover(plugins)
    with registry.running():
        assert registry.kind("oracle").pass_on(text=">").text == ">abc"
        assert registry.kind("oracle").pass_on(text=">", stop="value").text == ">a"
        assert registry.kind("oracle").pass_on(text=">", stop="before").text == ">"


def test_metadata_crosses_and_trace_context_where_tracing_looks_for_it(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi")
    registry.discover(plugins)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        with registry.metadata(tenant="acme", traceparent=trace, deep={"a": [1]}):
            heard = json.loads(ask("meta").answer)
        assert heard["dagstack/metadata"] == {"tenant": "acme", "traceparent": trace, "deep": {"a": [1]}}
        assert heard["traceparent"] == trace
        assert "dagstack/metadata" not in (json.loads(ask("meta").answer) or {})


def test_errors_come_with_type_message_and_traceback(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        with pytest.raises(PluginError, match="plugin 'delphi' of kind 'oracle' failed: ValueError: no such") as caught:
            ask("raise")
        assert (caught.value.error_type, caught.value.plugin, caught.value.hook) == ("ValueError", "delphi", "ask")
        assert caught.value.remote_traceback == "Traceback: in oracle.rb, line 4"
        assert any("oracle.rb" in note for note in caught.value.__notes__)
        with pytest.raises(PluginError, match=r"failed: no such thing$"):
            ask("plainly")
        with pytest.raises(PluginError, match=r"failed: it says nothing more$"):
            ask("silently")
        assert ask("fine").answer == "delphi: fine"


def test_an_output_that_breaks_its_schema_is_told_as_in_process(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        ask = registry.get_plugin("oracle", "delphi").ask
        with pytest.raises(PayloadInvalid, match=r"\$\.answer: expected a string, found 5"):
            ask("wrong")
        with pytest.raises(PluginError, match="refused the call: its answer is none of a tool"):
            ask("nothing")


def test_configuration_goes_to_a_tool_for_it(
    registry: PluginRegistry, server: WriteServer, plugins: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard = tmp_path / "heard"
    server("delphi", "setup=yes", f"said={heard}")
    server("dodona")
    server("siwa", "setup=yes")
    server("ammon", "setup=yes")
    registry.discover(plugins)
    config = {"oracle": {"delphi": {"depth": 3}, "dodona": {"leaves": True}, "siwa": {"refuse": True}}}
    config["oracle"]["ammon"] = {"tell": True, "key": "s3cr3t"}
    with registry.running(PluginContext(config)):
        assert heard.read_text() == 'setup {"config": {"depth": 3}}\n'
        assert "its server has no tool 'oracle.dodona.setup' to take it" in caplog.text
        assert "this configuration is not to my taste" in status_of(registry, "siwa").reason
        assert "its setup failed: no such key: …" in status_of(registry, "ammon").reason
        assert "s3cr3t" not in caplog.text
        assert status_of(registry, "dodona").state is PluginState.READY


# What the process gets


def test_of_the_hosts_environment_it_gets_what_it_needs(
    registry: PluginRegistry, server: WriteServer, plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SECRET", "for nobody")
    monkeypatch.setenv("FOR_PLUGINS", "yes")
    server("delphi", stdio={"env": {"OWN": "1"}, "inherit_env": ["FOR_PLUGINS", "NOT_SET"]})
    registry.discover(plugins)
    with registry.running():
        found = json.loads(registry.get_plugin("oracle", "delphi").ask("environment").answer)
    assert (found["OWN"], found["FOR_PLUGINS"]) == ("1", "yes")
    assert found["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert not {"HOST_SECRET", "NOT_SET", "PYTHONPATH"} & found.keys()


def test_it_runs_in_the_plugins_folder(registry: PluginRegistry, server: WriteServer, plugins: Path) -> None:
    folder = server("delphi")
    (server("dodona", stdio={"working_dir": "deep"}) / "deep").mkdir()
    registry.discover(plugins)
    with registry.running():
        assert registry.get_plugin("oracle", "delphi").ask("folder").answer == str(folder)
        assert registry.get_plugin("oracle", "dodona").ask("folder").answer == str(plugins / "dodona" / "deep")


def test_a_command_with_a_separator_is_looked_for_in_the_plugins_folder(
    registry: PluginRegistry, server: WriteServer, plugins: Path
) -> None:
    folder = server("delphi", stdio={"command": ["./bin/serve", "delphi"]})
    (folder / "bin").mkdir()
    script = folder / "bin" / "serve"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nexec(open({str(Path(__file__).with_name('oracle.py'))!r}).read())\n"
    )
    script.chmod(0o755)
    registry.discover(plugins)
    with registry.running():
        assert registry.get_plugin("oracle", "delphi").ask("hm").answer == "delphi: hm"


def test_what_it_writes_to_standard_error_is_in_the_log_under_its_name(
    registry: PluginRegistry, server: WriteServer, plugins: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server("delphi")
    registry.discover(plugins)
    with registry.running():
        registry.get_plugin("oracle", "delphi").ask("error it is dark \x1b[2J here")
        until(lambda: "it is dark" in caplog.text)
    (record,) = [record for record in caplog.records if "dark" in record.message]
    assert (record.name, record.levelname) == ("plugin.oracle.delphi", "INFO")
    assert record.message == r"it is dark \x1b[2J here"


# What doesn't start


@pytest.mark.parametrize(
    ("stdio", "told"),
    [
        (
            {"command": ["no-such-program-anywhere"]},
            r"'no-such-program-anywhere' \(looked for in PATH\) can't be run: No such file",
        ),
        ({"command": ["./missing"]}, r"'./missing' \(.*/delphi/missing\) can't be run: No such file"),
        ({"command": ["./dagstack.json"]}, r"'./dagstack.json' .* can't be run: Permission denied"),
        ({"command": ["python3", "-c", "pass"]}, "its process ended with status 0"),
        ({"command": ["sh", "-c", "exec <&-; sleep 60"]}, "it closed its input"),
        (
            {"command": ["python3", "-c", "import sys; sys.exit('it broke')"]},
            "ended with status 1; it wrote last: it broke",
        ),
        (
            # As Node.js does it: what is wrong comes first, and where last.
            {"command": ["sh", "-c", "{ echo 'TypeError [E]: no such thing'; seq 9; echo; echo v20; } >&2; exit 1"]},
            r"ended with status 1; it wrote last: TypeError \[E\]: no such thing \| … \| v20$",
        ),
        ({"command": ["cat"]}, "the handshake failed"),
        ({"command": ["yes"], "startup_timeout_sec": 1}, r"not ready within mcp_stdio.startup_timeout_sec = 1"),
        ({"command": ["sleep", "60"], "startup_timeout_sec": 0.3}, r"mcp_stdio.startup_timeout_sec = 0.3"),
        ({"working_dir": "nowhere"}, r"there is no folder .*nowhere to run it in"),
        ({"command": ["python3", "with \0 byte"]}, "null byte"),
    ],
)
def test_what_cannot_be_started_is_unavailable_and_says_why(
    registry: PluginRegistry, server: WriteServer, plugins: Path, stdio: dict[str, Any], told: str
) -> None:
    server("delphi", stdio=stdio)
    server("fine")
    registry.discover(plugins)
    with registry.running():
        status = status_of(registry, "delphi")
        assert status.state is PluginState.UNAVAILABLE
        assert isinstance(status.error, PluginUnavailable)
        assert re.search(told, status.reason), status.reason
        with pytest.raises(PluginUnavailable):
            registry.get_plugin("oracle", "delphi").ask("?")
        assert registry.get_plugin("oracle", "fine").ask("?").answer == "fine: ?"
