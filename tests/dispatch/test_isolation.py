"""What a caller and a plugin hand to each other is a copy: neither can change what the other holds."""

from __future__ import annotations

from typing import Any

import pytest

ITEMS = {"type": "object", "properties": {"items": {"type": "array", "items": {"type": "object"}}}}
SCHEMAS: dict[str, dict[str, Any]] = {
    "declared": {"input_schema": ITEMS, "output_schema": ITEMS},
    "by reference": {
        "input_schema": {"$defs": {"it": ITEMS}, "$ref": "#/$defs/it"},
        "output_schema": {"$defs": {"it": ITEMS}, "$ref": "#/$defs/it"},
    },
    "any object": {"input_schema": {"type": "object"}, "output_schema": {"type": "object"}},
}


class Keeping:
    """Changes what it gets, and hands out what it keeps."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {"items": [{"n": 1}]}

    def work(self, payload: Any) -> Any:
        payload["items"].append({"n": 2})
        payload["items"][0]["n"] = 0
        return self.kept


@pytest.fixture(params=SCHEMAS)
def registry(request: pytest.FixtureRequest, new_host: Any) -> Any:
    host = new_host({"work": {"dispatch": "singleton", **SCHEMAS[request.param]}})
    host.registry.register(
        Keeping, {"name": "one", "kind": host.kind, "core_version": ">=0.1", "runtime": "in_process"}
    )
    return host.registry


async def test_neither_changes_what_the_other_holds(registry: Any) -> None:
    async with registry.running():
        worker = registry.get_plugin("greeter")
        mine = {"items": [{"n": 1}]}
        for call in (lambda: worker.work(mine), lambda: worker.work(**mine)):
            answer = call()
            assert mine == {"items": [{"n": 1}]}
            assert answer == {"items": [{"n": 1}]}
            answer["items"].clear()
        assert worker.work(mine) == {"items": [{"n": 1}]}


async def test_a_payload_object_stays_as_it_is_too(new_host: Any) -> None:
    host = new_host({"work": SCHEMAS["declared"]})
    host.add("one", work=lambda self, payload: [payload["items"].clear(), {"items": []}][1])
    payload = host.registry.types(host.kind).WorkInput(items=[{"n": 1}])
    async with host.registry.running():
        host.call("work", payload)
    assert payload == {"items": [{"n": 1}]}
