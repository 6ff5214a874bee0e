"""Whether the tools of a server are the hooks of a kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp_types import Tool

from dagstack_plugins import PluginManifest, PluginRegistry
from dagstack_plugins.runtimes.mcp.fit import Fit, fit

HERE = Path(__file__).parent
ASK_INPUT = {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]}
ASK_OUTPUT = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def tool(name: str, takes: Any = None, gives: Any = None) -> Tool:
    return Tool(name=name, input_schema=takes or {"type": "object"}, output_schema=gives)


def fitted(*tools: Tool, kind: str = "oracle", name: str = "delphi") -> Fit:
    registry = PluginRegistry()
    registry.add_hookspecs(HERE / "kinds")
    table = {"command": ["true"]}
    manifest = PluginManifest.from_dict(
        {"name": name, "kind": kind, "core_version": ">=0.1", "runtime": "mcp_stdio", "mcp_stdio": table}
    )
    return fit(tools, manifest, registry.slot(kind).compiled)


def test_tools_are_found_by_the_name_template() -> None:
    found = fitted(
        tool("oracle.delphi.ask", ASK_INPUT, ASK_OUTPUT), tool("oracle.delphi.number"), tool("oracle.delphi.setup")
    )
    assert found.tools == {"ask": "oracle.delphi.ask", "number": "oracle.delphi.number", "setup": "oracle.delphi.setup"}
    assert not found.misfits
    assert not found.extra


def test_others_are_extra() -> None:
    found = fitted(tool("oracle.delphi.ask"), tool("oracle.dodona.ask"), tool("oracle.delphi.whisper"), tool("help"))
    assert list(found.extra) == ["oracle.dodona.ask", "oracle.delphi.whisper", "help"]
    assert not found.misfits


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        ([], "it lacks the tool 'oracle.delphi.ask', which hook 'ask' needs"),
        ([tool("oracle.delhpi.ask")], "needs (did you mean 'oracle.delhpi.ask'?)"),
        ([tool("oracle.delphi.ask"), tool("oracle.delphi.ask")], "it lists the tool 'oracle.delphi.ask' twice"),
        (
            [tool("oracle.delphi.ask", {"type": "object", "properties": {"question": {"type": "integer"}}})],
            "tool 'oracle.delphi.ask', input $.question may be string, and only integer is taken",
        ),
        (
            [tool("oracle.delphi.ask", {**ASK_INPUT, "additionalProperties": False})],
            "input $.politely may be given, and is not taken",
        ),
        (
            [tool("oracle.delphi.ask", {**ASK_INPUT, "required": ["question", "language"]})],
            "input $.language may be left out, and is required",
        ),
        (
            [tool("oracle.delphi.ask", ASK_INPUT, {"type": "object", "properties": {"answer": {"type": "string"}}})],
            "output $.answer may be left out, and is required",
        ),
        (
            [tool("oracle.delphi.ask", ASK_INPUT, {"type": "object", "properties": {"answer": {"type": "null"}}})],
            "output $.answer may be null, and only string is taken",
        ),
        (
            [
                tool("oracle.delphi.ask"),
                tool("oracle.delphi.number", None, {"type": "object", "properties": {"result": {"type": "string"}}}),
            ],
            "tool 'oracle.delphi.number', output $ may be string, and only integer is taken",
        ),
        ([tool("oracle.delphi.ask", {"type": "object", "properties": 5})], "input: its schema is none: "),
        (
            [tool("oracle.delphi.ask", {"type": "object", "properties": {"question": {"$ref": "#/nowhere"}}})],
            "its schema is none",
        ),
        (
            [tool("oracle.delphi.ask", {"type": "object", "properties": {"question": {"$ref": "file:///etc/hosts"}}})],
            "its schema is none",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_the_difference(tools: list[Tool], told: str) -> None:
    found = fitted(*tools)
    assert any(told in one for one in found.misfits), found.misfits


@pytest.mark.parametrize(
    ("takes", "gives"),
    [
        (ASK_INPUT, ASK_OUTPUT),
        ({"type": "object", "properties": {}}, None),
        (
            {"type": "object", "title": "askArguments", "properties": {"question": {"title": "Question"}}},
            {"type": "object"},
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", **ASK_INPUT},
            {"type": "object", "additionalProperties": True},
        ),
        (
            {**ASK_INPUT, "properties": {**ASK_INPUT["properties"], "loud": {"type": "boolean", "default": False}}},
            ASK_OUTPUT,
        ),  # type: ignore[dict-item]
        (ASK_INPUT, {"anyOf": [ASK_OUTPUT, {**ASK_OUTPUT, "required": ["answer", "source"]}]}),
        (ASK_INPUT, {**ASK_OUTPUT, "properties": {"answer": {"enum": ["yes", "no"]}, "why": {"type": "string"}}}),
    ],
)
def test_what_takes_as_much_and_gives_no_more_fits(takes: Any, gives: Any) -> None:
    assert not fitted(tool("oracle.delphi.ask", takes, gives)).misfits


def test_where_plugins_describe_their_own_inputs_the_tools_schema_is_that() -> None:
    takes = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    found = fitted(tool("tool.weather.execute", takes), kind="tool", name="weather")
    assert not found.misfits
    assert found.own_inputs == {"execute": takes}
    assert not fitted(tool("tool.weather.execute"), kind="tool", name="weather").own_inputs
