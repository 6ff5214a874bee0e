"""A tool that tells the schema of its arguments gets them checked against it."""

from __future__ import annotations

from typing import Any

import pytest

from dagstack_plugins import PayloadInvalid, PluginRegistry

SCHEMA = {
    "type": "object",
    "required": ["msg"],
    "properties": {"msg": {"type": "string"}, "times": {"type": "integer", "default": 2}},
    "additionalProperties": False,
}
MANIFEST = {"name": "echo", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"}


class Echo:
    asked = 0

    def setup(self) -> None:
        self.ready = True

    def get_schema(self) -> dict[str, Any]:
        assert self.ready
        self.asked += 1
        return SCHEMA

    def execute(self, args: dict[str, Any]) -> list[Any]:
        return [args["msg"]] * args["times"]


def registered(plugin: Any, **options: Any) -> PluginRegistry:
    registry = PluginRegistry(**options)
    registry.register(plugin, MANIFEST)
    return registry


def test_arguments_are_checked_and_defaults_filled() -> None:
    plugin = Echo()
    with registered(plugin).running() as registry:
        echo = registry.get_plugin("tool", "echo")
        given = {"msg": "hello"}
        assert echo.execute(given) == ["hello", "hello"]
        assert given == {"msg": "hello"}
        assert echo.execute(msg="hello", times=1) == ["hello"]
        with pytest.raises(PayloadInvalid, match="not what plugin 'echo' takes") as caught:
            echo.execute(msg=7, mgs="x")
        assert (caught.value.side, caught.value.plugin, caught.value.hook) == ("input", "echo", "execute")
        assert {fault.path for fault in caught.value.faults} == {"$", "$.msg"}
    assert plugin.asked == 1


async def test_it_may_be_a_coroutine_function() -> None:
    class Async(Echo):
        async def get_schema(self) -> dict[str, Any]:  # type: ignore[override]
            return SCHEMA

        async def execute(self, args: dict[str, Any]) -> list[Any]:  # type: ignore[override]
            return [args["msg"]]

    async with registered(Async).running() as registry:
        echo = registry.get_plugin("tool", "echo")
        assert await echo.execute(msg="hello") == ["hello"]
        with pytest.raises(PayloadInvalid):
            await echo.execute()


def test_validate_off_checks_nothing() -> None:
    with registered(Echo, validate="off").running() as registry, pytest.raises(KeyError):
        registry.get_plugin("tool", "echo").execute(msg="hello")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ({"type": "objct"}, "type"),
        ({"$ref": "https://example.org/schema.json"}, "example.org"),
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, "nowhere"),
        ({"const": float("nan")}, "const"),
        ({"const": {1, 2}}, "set"),
    ],
)
def test_what_is_no_schema_makes_the_tool_unavailable(answer: Any, told: str) -> None:
    class Broken(Echo):
        def get_schema(self) -> Any:
            return answer

    with registered(Broken).running() as registry:
        (status,) = registry.status()
        assert status.state == "unavailable"
        assert "get_schema" in status.reason
        assert told in status.reason


def test_one_that_fails_makes_the_tool_unavailable() -> None:
    class Broken(Echo):
        def get_schema(self) -> Any:
            raise SystemExit(3)

    with registered(Broken).running() as registry:
        (status,) = registry.status()
        assert status.state == "unavailable"
        assert "SystemExit" in status.reason
