"""Type checkers follow an emitted module down to the fields of results, and flag what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dagstack_plugins.kinds.emit.python import emit_python
from dagstack_plugins.kinds.hookspec import read_hookspec

MONEY = {
    "title": "Money",
    "type": "object",
    "required": ["cents"],
    "additionalProperties": False,
    "properties": {"cents": {"type": "integer"}, "currency": {"type": "string", "default": "USD"}},
}
CHARGE = {
    "type": "object",
    "required": ["amount"],
    "additionalProperties": False,
    "properties": {
        "amount": MONEY,
        "note": {"type": ["string", "null"]},
        "class": {"enum": ["fast", "slow"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}
CHARGED = {
    "type": "object",
    "required": ["transaction_id", "amount", "children"],
    "properties": {
        "transaction_id": {"type": "string"},
        "amount": MONEY,
        "error": {"type": "string"},
        "status": {"const": "done"},
        "children": {"type": "array", "items": {"$ref": "#"}},
        "by_name": {"type": "object", "additionalProperties": {"type": "number"}},
    },
}
ODD = {
    "type": "object",
    "required": ["str", "self", "with space"],
    "properties": {
        "list": {"type": "array", "items": {"type": "string"}},
        "str": {"type": "string"},
        "rows": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "self": {"enum": ["list", 'with "quotes" [ and |', "str"]},
        "more": {"type": "boolean"},
        "payload": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "Any": {},
        "with space": {"type": "string"},
        "OddInput": {"type": "object", "properties": {"a": {"$ref": "#"}}},
    },
}
MAYBE = {
    "anyOf": [{"type": "object", "title": "MaybeOutput", "properties": {"a": {"type": "string"}}}, {"type": "null"}]
}
HOOKS = [
    {
        "name": "odd",
        "dispatch": "singleton",
        "async": False,
        "required": False,
        "input_schema": ODD,
        "output_schema": ODD,
    },
    {"name": "charge", "dispatch": "singleton", "async": False, "input_schema": CHARGE, "output_schema": CHARGED},
    {"name": "refund", "dispatch": "singleton", "async": True, "input_schema": CHARGE, "output_schema": CHARGED},
    {"name": "maybe", "dispatch": "singleton", "async": False, "required": False, "output_schema": MAYBE},
    {
        "name": "list",
        "dispatch": "broadcast_collect",
        "async": False,
        "output_schema": {"type": "array", "items": {"type": "string"}},
    },
    {"name": "property", "dispatch": "broadcast_notify", "async": False},
    {"name": "rates", "dispatch": "broadcast_collect", "async": False, "output_schema": {"type": "number"}},
    {"name": "told", "dispatch": "broadcast_notify", "async": False, "input_schema": CHARGE},
    {"name": "open", "dispatch": "singleton", "output_schema": {"type": ["integer", "null"]}},
]
RIGHT = """
from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Literal, assert_type

from dagstack_plugins import PluginRegistry
from payment import ChargeInput, ChargeOutput, MaybeOutput, Money, PaymentHookSpec, PaymentPlugin
from payment import RefundInput, RefundOutput

registry = PluginRegistry()
registry.add_hookspecs(PaymentHookSpec)
payment = registry.get_plugin(PaymentHookSpec)
result = payment.charge(Money(cents=5))
assert_type(result, ChargeOutput)
assert_type(result.transaction_id, str)
assert_type(result.amount.cents, int)
assert_type(result.error, str | None)
assert_type(result.status, Literal["done"] | None)
assert_type(result.children[0].children[0].transaction_id, str)
assert_type(result.by_name, dict[str, float] | None)
assert_type(payment.aio.charge(Money(5)), Awaitable[ChargeOutput])
assert_type(payment.refund(Money(5)), Awaitable[RefundOutput])
assert_type(payment.sync.refund(Money(5)), RefundOutput)
assert_type(payment.sync.open(), int | None)
assert_type(payment.maybe(), MaybeOutput | None)
assert_type(registry.kind(PaymentHookSpec).list(), list[list[str]])
assert_type(registry.get_plugin(PaymentHookSpec, "card").rates(), float)
assert_type(registry.kind(PaymentHookSpec).rates(), list[float])
assert_type(registry.kind(PaymentHookSpec).charge(Money(5)), ChargeOutput)
assert_type(registry.kind(PaymentHookSpec).aio.rates(), Awaitable[list[float]])
payment.charge({"amount": {"cents": 5}})
payment.charge(ChargeInput(Money(5), note=None, class_="fast"))
payment.charge({"cents": 5}, note=None, class_="slow", tags=["a"])
payment.charge(amount=Money(5), tags=("a", "b"))
registry.get_plugin("payment").charge(whatever=3)
odd = payment.odd({"str": "a", "self": "list", "with space": "b"})
assert_type(odd.rows, list[list[int]] | None)
assert_type(odd.str, str)
assert_type(odd.list, list[str] | None)
assert_type(odd.payload.more if odd.payload else None, bool | None)
payment.odd(list=["a"], str="a", self_="str", more=True)


async def main() -> str:
    return (await payment.refund(Money(5))).transaction_id


class Card:
    def charge(self, payload: ChargeInput, /) -> ChargeOutput:
        return ChargeOutput(transaction_id="1", amount=payload.amount, children=[])

    async def refund(self, payload: RefundInput, /) -> Mapping[str, Any]:
        return {"transaction_id": "1", "amount": {"cents": 1}, "children": []}

    def open(self, payload: Any, /) -> int | None:
        return None


card: PaymentPlugin = Card()
"""
WRONG = """
payment.charge()
payment.charge(5)
payment.charge(amount="5")
payment.charge(Money("5"))
payment.charge(Money(cents=5, colour="red"))
payment.charge(Money(5), note=3)
payment.charge(Money(5), class_="medium")
payment.charge(Money(5), tags=[1])
payment.charge(Money(5), colour="red")
payment.charge(RefundInput(Money(5)))
payment.chrge(Money(5))
payment.charge(Money(5)).transaction
payment.charge(Money(5)).transaction_id + 1
payment.charge(Money(5)).amount.cents.upper()
payment.charge(Money(5)).error.upper()
payment.refund(Money(5)).transaction_id
payment.sync.refund(Money(5)).nothing
payment.aio.charge(Money(5)).transaction_id
registry.kind(PaymentHookSpec).rates().real
registry.kind(PaymentHookSpec).told(Money(5)).anything
registry.get_plugin(PaymentHookSpec, 3)
registry.get_plugin(PluginRegistry)
registry.add_hookspecs(3)
ChargeInput(note="x")
broken: PaymentPlugin = object()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("typed")
    (folder / "kinds/payment").mkdir(parents=True)
    declared = {"kind": "payment", "kind_api_version": "1.0.0", "hooks": HOOKS}
    file = folder / "kinds/payment/v1.yaml"
    file.write_text(json.dumps(declared))
    (folder / "payment.py").write_text(emit_python(read_hookspec(file)))
    (folder / "right.py").write_text(RIGHT)
    (folder / "wrong.py").write_text(RIGHT + WRONG)
    return folder


def errors(project: Path, checker: str, file: str) -> tuple[set[int], str]:
    """The lines that a type checker complains about."""
    if checker == "mypy":
        cache = ["--cache-dir", str(project / ".mypy_cache")]
        command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *cache, file, "payment.py"]
        pattern = rf"^{file}:(\d+): error"
    else:
        command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, file, "payment.py"]
        pattern = rf"{file}:(\d+):\d+ - error"
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return {int(line) for line in re.findall(pattern, done.stdout, re.M)}, done.stdout + done.stderr


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_right_uses_pass_and_each_wrong_one_is_flagged(project: Path, checker: str) -> None:
    found, told = errors(project, checker, "right.py")
    assert found == set(), told
    assert "payment.py" not in told
    found, told = errors(project, checker, "wrong.py")
    begin = len(RIGHT.splitlines()) + 1
    expected = {begin + number: line for number, line in enumerate(WRONG.splitlines()) if line}
    assert len(expected) >= 20
    assert {number: line for number, line in expected.items() if number not in found} == {}, told
    assert found - expected.keys() == set()


def test_the_right_uses_run(project: Path) -> None:
    program = """
import payment
from dagstack_plugins import PluginRegistry

class Card:
    def charge(self, payload):
        return payment.ChargeOutput(transaction_id="1", amount=payload.amount, children=[])
    async def refund(self, payload):
        return {"transaction_id": "2", "amount": {"cents": 1}, "children": [], "status": "done"}
    def open(self, payload):
        return None

registry = PluginRegistry()
registry.add_hookspecs(payment)
registry.register(Card, {"name": "card", "kind": "payment", "runtime": "in_process", "core_version": ">=0"})
with registry.running():
    card = registry.get_plugin(payment.PaymentHookSpec)
    result = card.charge(payment.Money(cents=5), class_="fast", tags=("a", "b"))
    print(result.transaction_id, result.amount.currency, type(result) is payment.ChargeOutput)
    print(card.sync.refund({"amount": {"cents": 1}}).status, card.sync.open())
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1 USD True\ndone None\n", "")
