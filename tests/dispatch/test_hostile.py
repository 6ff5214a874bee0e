"""Results and errors whose own code exits: the call fails, the host and the plugins' loop go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dagstack_plugins import PayloadInvalid, PluginError, PluginRegistry

ANSWER = {"type": "object", "properties": {"text": {"type": "string"}}}


class Exiting(Mapping[str, Any]):
    """A result that ends the process when it is read."""

    def __getitem__(self, key: str) -> Any:
        sys.exit(3)

    def __iter__(self) -> Iterator[str]:
        sys.exit(3)

    def __len__(self) -> int:
        return 1


class Unspeakable(Exception):
    """An error whose message ends the process."""

    def __str__(self) -> str:
        sys.exit(4)


class Raising(Exiting):
    """A result that raises such an error."""

    def __iter__(self) -> Iterator[str]:
        raise Unspeakable


class Interrupting(Exiting):
    """A result that looks like a user's Ctrl-C."""

    def __iter__(self) -> Iterator[str]:
        raise KeyboardInterrupt


class Partial(Exiting):
    """A result that lacks a key which it says it has."""

    def __iter__(self) -> Iterator[str]:
        return iter(["text"])

    def __getitem__(self, key: str) -> Any:
        raise KeyError("half of me")


async def call_async(self: Any, text: str) -> Any:
    return {"good": lambda: {"text": "still here"}}.get(text, HOSTILE.get(text))()


def call_plain(self: Any, text: str) -> Any:
    return {"good": lambda: {"text": "still here"}}.get(text, HOSTILE.get(text))()


HOSTILE = {"exits": Exiting, "raises": Raising, "partial": Partial}


@pytest.fixture(params=[call_async, call_plain], ids=["async", "plain"])
def registry(request: pytest.FixtureRequest, new_host: Any, text: Any) -> Any:
    host = new_host({"greet": {"input_schema": text, "output_schema": ANSWER}})
    host.add("one", greet=request.param)
    return host.registry


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_result_is_a_fault_of_the_plugin(registry: PluginRegistry, what: str) -> None:
    async with registry.running():
        greeter = registry.get_plugin("greeter").aio
        with pytest.raises(PayloadInvalid, match="'one' returned is not valid") as caught:
            await greeter.greet(text=what)
        assert caught.value.side == "output"
        assert (await greeter.greet(text="good")).text == "still here"


@pytest.mark.parametrize("what", HOSTILE)
def test_it_leaves_a_host_without_a_loop_alone(registry: PluginRegistry, what: str) -> None:
    with registry.running():
        greeter = registry.get_plugin("greeter").sync
        with pytest.raises(PayloadInvalid, match="'one' returned is not valid"):
            greeter.greet(text=what)
        assert greeter.greet(text="good").text == "still here"


def test_an_interrupt_that_no_user_made_does_not_end_the_plugins_loop(new_host: Any, text: Any) -> None:
    host = new_host({"greet": {"input_schema": text, "output_schema": ANSWER}})

    async def greet(self: Any, text: str) -> Any:
        return {"text": text} if text == "good" else Interrupting()

    host.add("one", greet=greet)
    with host.registry.running() as registry:
        greeter = registry.get_plugin("greeter").sync
        with pytest.raises(PayloadInvalid, match="KeyboardInterrupt"):
            greeter.greet(text="bad")
        assert greeter.greet(text="good").text == "good"


def test_a_missing_key_of_its_own_is_no_missing_property(registry: PluginRegistry) -> None:
    with registry.running(), pytest.raises(PayloadInvalid, match="KeyError: 'half of me'"):
        registry.get_plugin("greeter").sync.greet(text="partial")


class Undecided:
    """An answer to "does it match" that exits when it is looked at."""

    def __bool__(self) -> bool:
        sys.exit(5)


def test_an_answer_of_matches_that_exits_is_a_failure_of_the_call(new_host: Any) -> None:
    host = new_host({"read": {"dispatch": "capability"}})
    host.add("one", read=lambda self, payload: 1, matches=lambda self, payload: Undecided(), supports_languages=["x"])
    with host.registry.running(), pytest.raises(PluginError, match="SystemExit: 5"):
        host.call("read", language="x")


def test_what_a_chain_passes_on_is_read_as_carefully(new_host: Any) -> None:
    host = new_host({"pass_on": {"dispatch": "chain"}})
    host.add("one", pass_on=lambda self, payload: Exiting())
    host.add("two", pass_on=lambda self, payload: payload)
    with host.registry.running(), pytest.raises(PayloadInvalid, match="'one' passed on"):
        host.call("pass_on", {"a": 1})


class _Exits(str):
    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise SystemExit


class _Unhashable(type):
    __hash__ = None  # type: ignore[assignment]


def test_a_key_that_exits_when_it_is_compared_is_a_key(new_host: Any, text: Any) -> None:
    host = new_host({"say": {"dispatch": "chain", "input_schema": text, "output_schema": text}})
    host.add("a", say=lambda self, payload: {_Exits("text"): "x"})
    with host.registry.running():
        assert host.call("say", text="")["text"] == "x"


def test_an_object_whose_class_has_no_hash_fails_one_call(new_host: Any, text: Any) -> None:
    odd = _Unhashable("Odd", (), {})()
    for hook in ({"output_schema": text}, {}):
        host = new_host({"say": {"dispatch": "chain", "input_schema": text, **hook}})
        host.add("a", say=lambda self, payload: odd)
        with host.registry.running(), pytest.raises(PayloadInvalid):
            host.call("say", text="x")
