"""Two majors of one kind stand side by side; plugins of each are called by their own contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import (
    AmbiguousPlugin,
    HookSpec,
    HookspecInvalid,
    HookUnknown,
    KindUnknown,
    PayloadInvalid,
    PluginRegistry,
    PluginUnavailable,
    VersionIncompatible,
)


def declared(major: int, hook: str, required: str) -> dict[str, Any]:
    schema = {"type": "object", "required": [required], "properties": {required: {"type": "string"}}}
    hooks = [
        {"name": hook, "dispatch": "singleton", "input_schema": schema},
        {"name": "told", "dispatch": "broadcast_collect"},
    ]
    return {"kind": "payment", "kind_api_version": f"{major}.0.0", "hooks": hooks}


class Old(HookSpec[Any, Any]):
    declaration = declared(1, "charge", "amount")


class New(HookSpec[Any, Any]):
    declaration = declared(2, "pay", "sum")


class Cash:
    def charge(self, amount: str) -> str:
        return f"cash {amount}"

    def told(self) -> str:
        return "cash"


class Card:
    def pay(self, sum: str) -> str:
        return f"card {sum}"

    def told(self) -> str:
        return "card"


def manifest(name: str, major: int, **fields: Any) -> dict[str, Any]:
    known = {"name": name, "kind": "payment", "runtime": "in_process", "core_version": ">=0", **fields}
    return {**known, "kind_api_version": f"{major}.0"}


@pytest.fixture
def registry() -> PluginRegistry:
    made = PluginRegistry()
    made.add_hookspecs(Old)
    made.add_hookspecs(New)
    made.register(Cash, manifest("cash", 1))
    made.register(Card, manifest("card", 2))
    return made


def test_plugins_of_each_are_called_by_their_own_contract(registry: PluginRegistry) -> None:
    with registry.running():
        assert registry.get_plugin("payment", "cash").charge("5") == "cash 5"
        assert registry.get_plugin("payment", "card").pay("5") == "card 5"
        assert registry.get_plugin(Old).charge(amount="1") == "cash 1"
        assert registry.get_plugin(New).pay(sum="1") == "card 1"
        assert registry.get_plugin("payment@1").charge("2") == "cash 2"
        with pytest.raises(PayloadInvalid, match="'sum'"):
            registry.get_plugin("payment", "card").pay(amount="5")
        with pytest.raises(HookUnknown):
            registry.get_plugin("payment", "cash").pay("5")


def test_the_bare_name_is_the_newest_and_broadcasts_stay_within_a_major(registry: PluginRegistry) -> None:
    with registry.running():
        assert registry.get_plugin("payment").pay("5") == "card 5"
        assert registry.kind("payment").told() == ["card"]
        assert registry.kind("payment@1").told() == ["cash"]
        assert registry.kind(Old).told() == ["cash"]
    assert registry.kinds().count("payment") == 1
    assert {(status.kind, status.name) for status in registry.status()} == {("payment", "cash"), ("payment", "card")}
    assert "ChargeInput" in registry.types(Old)
    assert "PayInput" in registry.types("payment")


def test_a_newer_major_takes_nothing_from_who_calls_already() -> None:
    registry = PluginRegistry()
    registry.add_hookspecs(Old)
    registry.register(Cash, manifest("cash", 1))
    with registry.running():
        before = registry.get_plugin("payment")
        registry.add_hookspecs(New)
        assert before.charge("5") == "cash 5"
        assert registry.get_plugin("payment", "cash").charge("6") == "cash 6"
        for call in (lambda: registry.get_plugin("payment"), lambda: registry.kind("payment").sync.pay("5")):
            with pytest.raises(KindUnknown, match="no plugin: those of this kind were made for payment@1; name that"):
                call()


def test_a_major_that_is_not_known_is_told_with_those_that_are(registry: PluginRegistry) -> None:
    with pytest.raises(KindUnknown, match=r"'payment@3' has no hookspec.*known are payment@1, payment@2$"):
        registry.kind("payment@3")


def test_where_one_plugin_runs_at_a_time_it_is_one_of_each_major() -> None:
    registry = PluginRegistry()
    for spec, cls in ((Old, Cash), (New, Card)):
        alone = {**spec.declaration, "constraints": {"singleton_per_runtime": True}}
        registry.add_hookspecs(type("Alone", (HookSpec,), {"declaration": alone}))
        major = int(alone["kind_api_version"][0])
        for name in ("high", "low"):
            registry.register(cls, manifest(f"{name}{major}", major, priority=9 if name == "high" else 1))
    with registry.running():
        assert [status.name for status in registry.status() if status.state == "ready"] == ["high1", "high2"]


def test_middleware_goes_round_calls_of_both(registry: PluginRegistry) -> None:
    seen = []

    class Sees:
        def before(self, kind: str, name: str, hook: str) -> None:
            seen.append((kind, name, hook))

    made = {"name": "sees", "kind": "horizontal_middleware", "runtime": "in_process", "core_version": ">=0"}
    registry.register(Sees, made | {"chain_wrap": {"kinds": ["payment"]}})
    with registry.running():
        registry.get_plugin("payment@1").charge("5")
        registry.get_plugin("payment").pay("5")
        assert registry.kind("payment@1").told() == ["cash"]
    assert seen == [("payment", "cash", "charge"), ("payment", "card", "pay"), ("payment", "cash", "told")]


def test_a_routing_policy_belongs_to_one_major(registry: PluginRegistry) -> None:
    registry.set_routing_policy("payment@1", lambda request: "nobody")
    with registry.running():
        assert registry.get_plugin("payment").pay("5") == "card 5"
        with pytest.raises(PluginUnavailable, match="'nobody'"):
            registry.get_plugin("payment@1").charge("5")


def test_what_is_refused_is_told_of_in_its_own_major_alone(tmp_path: Path) -> None:
    (tmp_path / "dagstack.json").write_text(json.dumps({"plugin": manifest("card", 2)}))
    (tmp_path / "plugin.py").write_text("no Python\n")
    registry = PluginRegistry()
    registry.add_hookspecs(Old)
    registry.discover(tmp_path)
    assert [plugin.name for plugin in registry.slot("payment@1").plugins] == ["card"]
    registry.add_hookspecs(New)
    assert [[plugin.name for plugin in slot.plugins] for slot in registry.slots("payment")] == [[], ["card"]]


@pytest.mark.parametrize("first", [Old, New])
def test_a_plugin_waits_for_its_major(first: type[HookSpec[Any, Any]], tmp_path: Path) -> None:
    for name, cls, major in (("cash", "charge(self, amount)", 1), ("card", "pay(self, sum)", 2)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "dagstack.json").write_text(json.dumps({"plugin": manifest(name, major)}))
        (folder / "plugin.py").write_text(f"class Made:\n    def {cls}:\n        return 1\n")
    registry = PluginRegistry()
    registry.add_hookspecs(first)
    assert len(registry.discover(tmp_path)) == 1
    assert any(isinstance(status.error, VersionIncompatible) for status in registry.unavailable_plugins())
    registry.add_hookspecs(New if first is Old else Old)
    assert [one.name for one in registry.list_manifests()] == ["card", "cash"]
    with registry.running():
        assert registry.get_plugin(Old).charge("1") == registry.get_plugin(New).pay("1") == 1


def test_names_are_unique_in_all_majors(registry: PluginRegistry) -> None:
    with pytest.raises(AmbiguousPlugin):
        registry.register(Card, manifest("cash", 2))


async def test_unregistering(registry: PluginRegistry) -> None:
    async with registry.running():
        await registry.unregister("payment", "cash")
        with pytest.raises(PluginUnavailable):
            registry.get_plugin("payment", "cash")
        assert registry.get_plugin("payment", "card").pay("5") == "card 5"
        assert registry.slots("payment")[0].plugins == ()


def test_who_is_active_is_said_for_the_major_that_has_the_plugin(
    registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register(Cash, manifest("coins", 1))
    with pytest.raises(AmbiguousPlugin), registry.running():
        pass
    registry.set_active("payment", "coins")
    with registry.running():
        assert registry.get_plugin(Old).charge("5") == "cash 5"
        assert registry.get_plugin("payment").pay("5") == "card 5"
    registry.set_active(Old, None)
    monkeypatch.setenv("DAGSTACK_ACTIVE_PAYMENT", "cash")
    with registry.running():
        assert registry.get_plugin(Old).charge("5") == "cash 5"
        assert registry.get_plugin(New).pay("5") == "card 5"
    monkeypatch.setenv("DAGSTACK_ACTIVE_PAYMENT", "nobody")
    with pytest.raises(PluginUnavailable, match="nobody"), registry.running():
        pass


@pytest.mark.parametrize("address", ["payment@3", "payment@", "payment@x", "nothing@1", "payment@-1"])
def test_addresses_that_lead_nowhere(registry: PluginRegistry, address: str) -> None:
    if address == "payment@":
        assert registry.slot(address) is registry.slot("payment@2")
        return
    with pytest.raises(KindUnknown, match=address):
        registry.kind(address)


async def test_a_choice_is_taken_back_and_a_plugin_removed_wherever_it_is(registry: PluginRegistry) -> None:
    registry.register(Cash, manifest("coins", 1))
    registry.set_active("payment", "coins")
    registry.set_active("payment", None)
    assert [slot.chosen for slot in registry.slots("payment")] == [None, None]
    await registry.unregister("payment@1", "coins")
    await registry.unregister(Old, "cash")
    assert [one.name for one in registry.list_manifests()] == ["card"]


def test_two_that_wait_for_majors_of_their_own_both_come(tmp_path: Path) -> None:
    for name, major, hook in (("a", 1, "charge(self, amount)"), ("b", 2, "pay(self, sum)")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "dagstack.json").write_text(json.dumps({"plugin": manifest(f"same_{name}", major)}))
        (folder / "plugin.py").write_text(f"class Made:\n    def {hook}:\n        return 1\n")
    registry = PluginRegistry()
    registry.add_hookspecs(type("Third", (HookSpec,), {"declaration": declared(3, "go", "x")}))
    assert registry.discover(tmp_path) == []
    registry.add_hookspecs(Old)
    registry.add_hookspecs(New)
    assert len(registry.list_manifests()) == 2


def test_the_variable_may_name_a_refused_plugin_of_one_major(
    registry: PluginRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagstack.json").write_text(json.dumps({"plugin": manifest("bad", 1)}))
    (tmp_path / "plugin.py").write_text("raise ValueError('bad')\n")
    registry.discover(tmp_path)
    monkeypatch.setenv("DAGSTACK_ACTIVE_PAYMENT", "bad")
    with registry.running():
        assert registry.get_plugin(New).pay("5") == "card 5"
        with pytest.raises(PluginUnavailable, match="ValueError: bad"):
            registry.get_plugin("payment", "bad").charge("5")


def test_properties_in_another_order_are_another_contract() -> None:
    def of(*names: str) -> dict[str, Any]:
        schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        hooks = [{"name": "greet", "dispatch": "singleton", "input_schema": schema}]
        return {"kind": "greeter", "kind_api_version": "1.0.0", "hooks": hooks}

    registry = PluginRegistry()
    registry.add_hookspecs(type("One", (HookSpec,), {"declaration": of("a", "b")}))
    with pytest.raises(HookspecInvalid, match="from a class is known with other content from a class"):
        registry.add_hookspecs(type("Other", (HookSpec,), {"declaration": of("b", "a")}))


def test_two_files_of_one_major_must_be_the_same(registry: PluginRegistry) -> None:
    other = type("Other", (HookSpec,), {"declaration": declared(2, "pay", "amount")})
    with pytest.raises(HookspecInvalid, match="known with other content"):
        registry.add_hookspecs(other)


def test_a_folder_of_kinds_may_hold_both(tmp_path: Path) -> None:
    (tmp_path / "payment").mkdir()
    (tmp_path / "payment/v1.yaml").write_text(json.dumps(Old.declaration))
    (tmp_path / "payment/v2.yaml").write_text(json.dumps(New.declaration))
    registry = PluginRegistry()
    assert registry.add_hookspecs(tmp_path) == ["payment"]
    assert [slot.compiled.kind.major for slot in registry.slots("payment")] == [1, 2]
