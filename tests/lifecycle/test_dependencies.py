"""What depends on what: who starts first, and who can't start at all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins import DependencyCycle, ManifestInvalid, PluginState

READY, UNAVAILABLE, REGISTERED = PluginState.READY, PluginState.UNAVAILABLE, PluginState.REGISTERED


def fails(self: Any) -> None:
    raise RuntimeError("no licence")


async def test_a_plugin_starts_after_all_that_it_depends_on_across_kinds(host: Any) -> None:
    host.track("a", depends_on=["b", {"kind": "gear", "name": "c"}])
    host.track("b", depends_on=[{"kind": "gear", "name": "c"}])
    host.track("c", kind="gear")
    await host.registry.setup_all()
    assert host.log == ["start c", "start b", "start a"]
    await host.registry.teardown_all()
    assert host.log[3:] == ["stop a", "stop b", "stop c"]


async def test_dependencies_can_be_called_in_setup(host: Any) -> None:
    async def answers(self: Any) -> str:
        return "coroutine"

    host.add("a", run=answers)
    host.add(
        "b",
        depends_on=["a"],
        setup=lambda self, ctx: host.log.append(ctx.registry.get_plugin("part", "a").sync.run()),
    )
    await host.registry.setup_all()
    assert host.log == ["coroutine"]
    assert host.states() == {"a": READY, "b": READY}


async def test_what_fails_takes_along_all_that_depend_on_it_and_the_others_go_on(host: Any) -> None:
    host.add("root", setup=fails)
    host.track("child", depends_on=["root"])
    host.track("grandchild", depends_on=["child", "other"])
    host.track("other")
    await host.registry.setup_all()
    assert host.states() == {"root": UNAVAILABLE, "child": UNAVAILABLE, "grandchild": UNAVAILABLE, "other": READY}
    assert host.log == ["start other"]
    assert "part/root" in host.status("child").reason
    assert "no licence" in host.status("child").reason
    assert "part/child" in host.status("grandchild").reason


async def test_a_missing_dependency_takes_along_all_that_depend_on_it_too(host: Any) -> None:
    host.track("helper")
    host.track("a", depends_on=["helpr"])
    host.track("b", depends_on=["a"])
    host.track("c", depends_on=[{"kind": "gear", "name": "helper"}])
    await host.registry.setup_all()
    assert host.states() == {"helper": READY, "a": UNAVAILABLE, "b": UNAVAILABLE, "c": UNAVAILABLE}
    assert "did you mean 'helper'" in host.status("a").reason
    assert "part/a" in host.status("b").reason
    assert '{kind = "part", name = "helper"}' in host.status("c").reason


async def test_a_missing_dependency_that_comes_later_is_found(host: Any) -> None:
    host.track("a", depends_on=["late"])
    await host.registry.setup_all()
    assert host.states() == {"a": UNAVAILABLE}
    host.track("late")
    await host.registry.setup_all()
    assert host.states() == {"a": READY, "late": READY}
    assert host.log == ["start late", "start a"]


async def test_an_ambiguous_dependency_tells_what_to_write(host: Any) -> None:
    host.track("twin")
    host.track("twin", kind="gear")
    host.track("a", depends_on=["twin"])
    host.track("b", depends_on=[{"kind": "gear", "name": "twin"}])
    await host.registry.setup_all()
    assert host.status("a").state is UNAVAILABLE
    assert '{kind = "part", name = "twin"}' in host.status("a").reason
    assert '{kind = "gear", name = "twin"}' in host.status("a").reason
    assert host.status("b").state is READY


async def test_a_refused_dependency_is_told_with_its_reason(host: Any, tmp_path: Path) -> None:
    folder = tmp_path / "sick"
    folder.mkdir()
    (folder / "dagstack.toml").write_text(
        '[plugin]\nname = "sick"\nkind = "part"\ncore_version = ">=0.1"\nruntime = "in_process"\n'
    )
    (folder / "plugin.py").write_text("raise RuntimeError('cannot be imported')\n")
    host.registry.discover(tmp_path)
    host.track("a", depends_on=["sick"])
    await host.registry.setup_all()
    assert host.states() == {"sick": UNAVAILABLE, "a": UNAVAILABLE}
    assert "cannot be imported" in host.status("a").reason


async def test_a_running_dependency_counts_when_a_plugin_comes_later(host: Any) -> None:
    host.track("a")
    await host.registry.setup_all()
    host.track("b", depends_on=["a"])
    await host.registry.setup_all()
    assert host.log == ["start a", "start b"]
    await host.registry.teardown_all()
    assert host.log[2:] == ["stop b", "stop a"]


# Cycles


async def test_a_cycle_of_five_is_shown_whole_and_nothing_starts(host: Any) -> None:
    for name, needed in zip("abcde", "bcdea", strict=True):
        host.track(name, depends_on=[needed])
    host.track("alone")
    host.track("outside", depends_on=["a"])
    with pytest.raises(DependencyCycle) as caught:
        await host.registry.setup_all()
    cycle = list(caught.value.cycle)
    assert cycle[0] == cycle[-1]
    at = cycle.index("part/a")
    turned = [*cycle[at:-1], *cycle[:at]]
    assert turned == [f"part/{name}" for name in "abcde"]
    assert " -> ".join(cycle) in str(caught.value)
    assert set(host.states().values()) == {REGISTERED}
    assert host.log == []


def test_a_plugin_that_depends_on_itself_is_refused(host: Any) -> None:
    for itself in ("a", {"kind": "part", "name": "a"}):
        with pytest.raises(ManifestInvalid, match="depends on itself"):
            host.track("a", depends_on=[itself])


async def test_a_plugin_may_depend_on_one_of_its_own_name_of_another_kind(host: Any) -> None:
    host.track("a", depends_on=[{"kind": "gear", "name": "a"}])
    host.track("a", kind="gear")
    await host.registry.setup_all()
    assert [status.state for status in host.registry.status()] == [READY, READY]


async def test_a_cycle_with_a_running_plugin_is_told_and_the_plugins_can_be_torn_down(host: Any) -> None:
    host.track("a", depends_on=["b"])
    host.track("b")
    await host.registry.setup_all()
    await host.registry.unregister("part", "b")
    host.track("b", depends_on=["a"])
    with pytest.raises(DependencyCycle):
        await host.registry.setup_all()
    assert host.states() == {"a": READY, "b": REGISTERED}
    await host.registry.teardown_all()
    assert host.log == ["start b", "start a", "stop b", "stop a"]


# The law of graphs

Graph = tuple[int, set[tuple[int, int]], set[int], set[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """How many plugins, who needs whom, whose setup fails, and who needs what there isn't; now and then a circle."""
    size = draw(st.integers(2, 8))
    place = st.integers(0, size - 1)
    pairs = st.tuples(place, place).filter(lambda pair: pair[0] != pair[1])
    downwards = draw(st.sets(pairs.map(lambda pair: (max(pair), min(pair))), max_size=2 * size))
    any_way = draw(st.sets(pairs, max_size=1))
    few = st.sets(place, max_size=2)
    return size, downwards | any_way, draw(few), draw(few)


def has_cycle(size: int, needs: dict[int, set[int]]) -> bool:
    """Whether taking away those whose needs are met, again and again, leaves some."""
    left = set(range(size))
    while free := {one for one in left if not needs[one] & left}:
        left -= free
    return bool(left)


def taken_along(size: int, needs: dict[int, set[int]], fallen: set[int]) -> set[int]:
    """Those in ``fallen`` and all that depend on them, however far away."""
    while more := {one for one in range(size) if needs[one] & fallen} - fallen:
        fallen = fallen | more
    return fallen


@settings(max_examples=150)
@given(graph=graphs())
def test_every_plugin_starts_after_its_dependencies_and_failures_take_along_exactly_their_dependents(
    new_host: Any, graph: Graph
) -> None:
    size, edges, failing, homeless = graph
    needs = {one: {needed for who, needed in edges if who == one} for one in range(size)}
    host = new_host()
    for one in range(size):
        depends_on = [f"p{needed}" for needed in sorted(needs[one])] + (["nowhere"] if one in homeless else [])
        if one in failing:
            host.add(f"p{one}", depends_on=depends_on, setup=fails)
        else:
            host.track(f"p{one}", depends_on=depends_on)
    if has_cycle(size, needs):
        with pytest.raises(DependencyCycle):
            asyncio.run(host.registry.setup_all())
        assert host.log == []
        return

    async def run() -> None:
        await host.registry.setup_all()
        down = {f"p{one}" for one in taken_along(size, needs, failing | homeless)}
        assert {name for name, state in host.states().items() if state is UNAVAILABLE} == down
        assert {name for name, state in host.states().items() if state is READY} == host.states().keys() - down
        started = [entry.removeprefix("start ") for entry in host.log]
        assert sorted(started) == sorted(host.states().keys() - down)
        host.log.clear()
        await host.registry.teardown_all()
        stopped = [entry.removeprefix("stop ") for entry in host.log]
        assert sorted(stopped) == sorted(started)
        for one in range(size):
            for needed in needs[one] if f"p{one}" in started else ():
                assert started.index(f"p{needed}") < started.index(f"p{one}")
                assert stopped.index(f"p{needed}") > stopped.index(f"p{one}")

    asyncio.run(run())
