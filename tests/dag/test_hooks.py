"""Who hears of an event, in which order, and what becomes of those who fail."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins.dag import HookContext, HookEvent, HookRegistry

PRE_NODE = HookContext(event=HookEvent.PRE_NODE, node_name="extract")


def test_a_callback_hears_its_event_and_no_other() -> None:
    hooks, heard = HookRegistry(), []
    hooks.register(HookEvent.PRE_NODE, heard.append)
    hooks.fire(HookContext(event=HookEvent.POST_NODE))
    hooks.fire(PRE_NODE)
    assert heard == [PRE_NODE]


@given(st.lists(st.integers(-3, 3), max_size=8))
def test_the_higher_priority_hears_first_and_equal_ones_as_registered(priorities: list[int]) -> None:
    hooks, heard = HookRegistry(), []
    for place, priority in enumerate(priorities):
        hooks.register(HookEvent.PRE_NODE, lambda _, one=(-priority, place): heard.append(one), priority=priority)
    hooks.fire(PRE_NODE)
    assert heard == sorted((-priority, place) for place, priority in enumerate(priorities))


def test_who_is_unregistered_hears_no_more_and_twice_does_no_harm() -> None:
    hooks, heard = HookRegistry(), []
    first = hooks.register(HookEvent.PRE_NODE, heard.append)
    hooks.register(HookEvent.PRE_NODE, heard.append)
    first()
    first()
    assert hooks.hook_count(HookEvent.PRE_NODE) == 1
    hooks.fire(PRE_NODE)
    assert heard == [PRE_NODE]


@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(3), BaseException("worse")])
def test_a_callback_that_fails_is_a_warning_and_the_others_hear(error: BaseException) -> None:
    hooks, heard = HookRegistry(), []

    def fails(_: HookContext) -> None:
        raise error

    hooks.register(HookEvent.PRE_NODE, fails, priority=1)
    hooks.register(HookEvent.PRE_NODE, heard.append)
    with pytest.warns(RuntimeWarning, match=r"callback .*fails failed in pre_node: .*test_hooks\.py, line \d+"):
        hooks.fire(PRE_NODE)
    assert heard == [PRE_NODE]


def test_a_users_interrupt_is_raised() -> None:
    hooks = HookRegistry()

    def interrupted(_: HookContext) -> None:
        raise KeyboardInterrupt

    hooks.register(HookEvent.PRE_NODE, interrupted)
    with pytest.raises(KeyboardInterrupt):
        hooks.fire(PRE_NODE)


def test_changes_while_an_event_is_fired_are_for_the_next_one() -> None:
    hooks, heard = HookRegistry(), []

    def once(_: HookContext) -> None:
        heard.append("once")
        taken_back()
        other()
        hooks.register(HookEvent.PRE_NODE, lambda _: heard.append("new"))

    taken_back = hooks.register(HookEvent.PRE_NODE, once, priority=1)
    other = hooks.register(HookEvent.PRE_NODE, lambda _: heard.append("other"))
    hooks.fire(PRE_NODE)
    assert heard == ["once", "other"]
    hooks.fire(PRE_NODE)
    assert heard == ["once", "other", "new"]


def test_clearing() -> None:
    hooks = HookRegistry()
    for event in HookEvent:
        hooks.register(event, print)
    assert hooks.hook_count() == 7
    hooks.clear(HookEvent.PRE_NODE)
    assert (hooks.hook_count(), hooks.heard(HookEvent.PRE_NODE), hooks.heard(HookEvent.POST_NODE)) == (6, False, True)
    hooks.clear()
    assert hooks.hook_count() == 0


def test_events_go_by_their_values_too() -> None:
    hooks, heard = HookRegistry(), []
    hooks.register("pre_node", heard.append)  # type: ignore[arg-type]
    hooks.fire(PRE_NODE)
    assert heard
    assert [str(event) for event in HookEvent][:2] == ["pre_build", "post_build"]


@pytest.mark.parametrize(
    ("event", "callback", "error", "told"),
    [
        ("pre_nod", print, ValueError, r"no event 'pre_nod' \(did you mean 'pre_node'\?\); the events: pre_build"),
        (None, print, ValueError, "no event None"),
        (HookEvent.PRE_NODE, "print", TypeError, "a function of a HookContext, found 'print'"),
    ],
)
def test_what_is_no_event_or_callback(event: Any, callback: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        HookRegistry().register(event, callback)


def test_many_threads_register_and_fire() -> None:
    hooks, heard = HookRegistry(), []
    hooks.register(HookEvent.PRE_NODE, heard.append)

    def work() -> None:
        for _ in range(200):
            taken_back = hooks.register(HookEvent.PRE_NODE, lambda _: None)
            hooks.fire(PRE_NODE)
            taken_back()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(heard), hooks.hook_count()) == (800, 1)
