"""``dagstack-plugins call``: the result on standard output, and nothing else there."""

from __future__ import annotations

import json
from typing import Any

import pytest

SHOP = """
import sys

class Shop:
    def setup(self, ctx):
        print("setup")
        self.currency = ctx.config.get("currency", "none")

    def teardown(self):
        print("teardown")

    async def charge(self, amount):
        print("charge")
        return {"told": f"{amount} {self.currency}"}

    def refuse(self, amount):
        raise ValueError(f"no [bold]{amount}[/bold]")

    def leave(self):
        sys.exit(0)

    def strange(self):
        return {1, 2}

    def clean(self, text):
        return {"text": text.strip()}

    def note(self):
        raise OSError("nobody listens")

    def gather(self):
        if self.currency != "none":
            raise OSError("nothing gathered")
        return {"ü": "€"}
"""

AMOUNT = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
HOOKS = {
    "charge": {"input_schema": AMOUNT, "output_schema": {"type": "object", "properties": {"told": {"type": "string"}}}},
    "refuse": {"input_schema": AMOUNT},
    "leave": {"input_schema": {"type": "object", "properties": {}}},
    "strange": {"input_schema": {"type": "object", "properties": {}}},
    "clean": {"dispatch": "chain", "input_schema": TEXT, "output_schema": TEXT},
    "note": {"dispatch": "broadcast_notify", "input_schema": {"type": "object", "properties": {}}},
    "gather": {
        "dispatch": "broadcast_collect",
        "error_policy": "best_effort",
        "input_schema": {"type": "object", "properties": {}},
    },
}
CONFIG_SCHEMA = '[plugin.config_schema]\nproperties = { currency = { type = "string" } }'


@pytest.fixture(scope="module")
def shop(shared_project: Any) -> Any:
    """A kind with two plugins, of which nothing says who is active; a plugin that cannot be used; tools."""
    shared_project.kind("shop", HOOKS)
    for name in ("one", "two"):
        shared_project.plugin(name, SHOP, at=f"shops/{name}", kind="shop", more=CONFIG_SCHEMA)
    shared_project.plugin("first", SHOP, at="ranked/first", kind="shop", priority=5, more=CONFIG_SCHEMA)
    shared_project.plugin("second", SHOP, at="ranked/second", kind="shop", more=CONFIG_SCHEMA)
    shared_project.plugin("bad", "1 / 0", at="ranked/bad", kind="shop")
    shared_project.plugin("echo", at="tools/echo")
    shared_project.plugin("other", at="tools/other")
    shared_project.file("host.toml", '[shop.second]\ncurrency = "€"\n[shop.first]\ncurrency = "£"\n')
    shared_project.file("host.json", '{"shop": {"first": {"currency": "$"}}}')
    shared_project.file("list.json", "[]")
    shared_project.file("wrong.toml", "[shop.first]\ncurrency = 3\n")
    return shared_project


RANKED = ("--plugins", "plugins/ranked")


def test_the_result_is_all_that_standard_output_gets(shop: Any) -> None:
    done = shop.run("call", "shop", "charge", *RANKED, "--json", '{"amount": 3}')
    assert done.json == {"told": "3 none"}
    assert done.status == 0
    for word in ("setup", "charge", "teardown"):
        assert word in done.err


def test_one_plugin_by_name(shop: Any) -> None:
    tools = ("--plugins", "plugins/tools")
    done = shop.run("call", "tool", "execute", "--name", "echo", *tools, "--json", '{"b": [1], "a": null}')
    assert done.out == '{\n  "b": [\n    1\n  ],\n  "a": null\n}\n'
    assert (done.status, done.err) == (0, "")


def test_the_payload_from_standard_input(shop: Any) -> None:
    done = shop.run("call", "shop", "clean", *RANKED, "--json", "-", given='\ufeff{"text": " schön "}')
    assert done.json == {"text": "schön"}


def test_a_payload_may_be_left_out(shop: Any) -> None:
    done = shop.run("call", "shop", "gather", *RANKED)
    assert done.json == [{"ü": "€"}, {"ü": "€"}]


@pytest.mark.parametrize(("config", "currency"), [("host.toml", "£"), ("host.json", "$")])
def test_configuration_from_a_file(shop: Any, config: str, currency: str) -> None:
    done = shop.run("call", "shop", "charge", *RANKED, "--config", config, "--json", '{"amount": 1}')
    assert done.json == {"told": f"1 {currency}"}


def test_several_folders_of_plugins(shop: Any) -> None:
    done = shop.run("call", "tool", "execute", "--name", "other", *RANKED, "--plugins", "plugins/tools")
    assert done.json == {}


def test_the_working_directory_is_where_it_looks_by_default(shop: Any) -> None:
    assert shop.run("call", "tool", "execute", "--name", "echo", at=shop.plugins / "tools").json == {}


def test_a_name_settles_what_priorities_leave_open(shop: Any) -> None:
    shops = ("--plugins", "plugins/shops", "--json", '{"amount": 1}')
    assert shop.run("call", "shop", "charge", "--name", "two", *shops).status == 0
    undecided = shop.run("call", "shop", "charge", *shops)
    assert (undecided.status, undecided.out) == (1, "")
    assert "DAGSTACK_ACTIVE_SHOP=one" in undecided.err
    assert "--name one" in undecided.err
    assert shop.run("call", "shop", "charge", *shops, DAGSTACK_ACTIVE_SHOP="two").status == 0


def test_who_took_no_part_is_told(shop: Any) -> None:
    done = shop.run("call", "shop", "clean", *RANKED, "--json", '{"text": ""}')
    assert done.status == 0
    assert done.err.count("ZeroDivisionError") == 1
    assert "warning: plugin bad took no part" in done.err


def test_failures_that_a_policy_forgives_are_told(shop: Any) -> None:
    gathered = shop.run("call", "shop", "gather", *RANKED, "--config", "host.json")
    assert gathered.json == [{"ü": "€"}]
    assert "plugin first failed: OSError: nothing gathered" in gathered.err
    noted = shop.run("call", "shop", "note", *RANKED)
    assert (noted.status, noted.out) == (0, "null\n")
    assert noted.err.count("OSError: nobody listens") == 2


FAILING = {
    # command line after `call`, words of the message
    "unknown kind": (("shopp", "charge"), ("did you mean 'shop'?", "--hookspecs")),
    "kind without plugins": (("chunker", "chunk", "--json", '{"text": ""}'), ("has no plugin", "--plugins")),
    "unknown hook": (("shop", "chrge"), ("did you mean 'charge'?", "clean")),
    "attribute of a proxy": (("shop", "aio"), ("has no hook 'aio'",)),
    "unknown plugin": (("shop", "charge", "--name", "frist"), ("did you mean 'first'?", "second")),
    "refused plugin": (("shop", "charge", "--name", "bad", "--json", '{"amount": 1}'), ("ZeroDivisionError",)),
    "wrong payload": (("shop", "charge", "--json", '{"amount": "3"}'), ("$.amount", "a number")),
    "plugin raises": (("shop", "refuse", "--json", '{"amount": 3}'), ("ValueError: no [bold]3[/bold]", "'first'")),
    "plugin exits": (("shop", "leave"), ("SystemExit", "first")),
    "result is no JSON": (("shop", "strange"), ("no form in JSON", "set")),
    "wrong configuration": (
        ("shop", "charge", "--name", "first", "--config", "wrong.toml", "--json", '{"amount": 1}'),
        ("config['shop']['first'].currency", "a string"),
    ),
}


@pytest.mark.parametrize("what", FAILING)
def test_failures_are_messages_on_standard_error(shop: Any, what: str) -> None:
    arguments, words = FAILING[what]
    done = shop.run("call", *arguments, *RANKED)
    assert (done.status, done.out) == (1, ""), done.err
    for word in words:
        assert word in done.err


MISUSED = {
    "no JSON": (("shop", "charge", "--json", "{amount: 3}"), ("--json", "not valid JSON")),
    "key twice": (("shop", "charge", "--json", '{"amount": 3, "amount": 4}'), ("stands twice",)),
    "no object": (("shop", "charge", "--json", "[3]"), ("one JSON object", "[3]")),
    "empty input": (("shop", "charge", "--json", "-"), ("not valid JSON",)),
    "no TOML": (("shop", "charge", "--config", "plugins/ranked/bad/plugin.py"), ("--config", "not valid TOML")),
    "no table": (("shop", "charge", "--config", "list.json"), ("--config", "{kind: {name: {…}}}")),
    "no file": (("shop", "charge", "--config", "nowhere.toml"), ("nowhere.toml",)),
    "no folder": (("shop", "charge", "--plugins", "host.toml"), ("host.toml",)),
    "no hook": (("shop",), ("HOOK",)),
}


@pytest.mark.parametrize("what", MISUSED)
def test_a_wrong_command_line(shop: Any, misuse: Any, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    arguments, words = MISUSED[what]
    monkeypatch.chdir(shop.root)
    said = misuse("call", *arguments)
    for word in words:
        assert word in said


def test_tracebacks_on_demand(shop: Any) -> None:
    done = shop.run("call", "shop", "refuse", *RANKED, "--json", '{"amount": 3}', "--verbose")
    assert done.status == 1
    assert f'File "{shop.plugins / "ranked" / "first" / "plugin.py"}", line ' in done.err
    assert "ZeroDivisionError" in done.err  # why another one is refused


def test_a_setup_that_fails(project: Any) -> None:
    project.plugin("weak", "class Weak:\n    def setup(self): 1 / 0\n    def execute(self, args): return args\n")
    done = project.run("call", "tool", "execute")
    assert (done.status, done.out) == (1, "")
    assert done.err.count("ZeroDivisionError") == 1


def test_a_teardown_that_fails_comes_after_the_result(project: Any) -> None:
    project.plugin("weak", "class Weak:\n    def teardown(self): 1 / 0\n    def execute(self, args): return args\n")
    done = project.run("call", "tool", "execute")
    assert (done.status, done.json) == (1, {})
    assert "ZeroDivisionError" in done.err


def test_what_plugins_log(project: Any) -> None:
    project.plugin(
        "talker",
        """
        class Talker:
            def setup(self, ctx):
                self.log = ctx.logger

            def execute(self, args):
                self.log.warning("careful \\x1b[31m")
                self.log.info("by the way")
                return args
        """,
    )
    brief = project.run("call", "tool", "execute")
    assert brief.err == "warning: careful \\x1b[31m\n"
    verbose = project.run("call", "tool", "execute", "--verbose")
    assert "plugin.tool.talker: by the way" in verbose.err
    assert brief.out == verbose.out == "{}\n"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_json_is_json_in_any_encoding(shop: Any, encoding: str) -> None:
    arguments = ("call", "tool", "execute", "--name", "echo", "--plugins", "plugins/tools", "--json")
    done = shop.run(*arguments, r'{"text": "\u00fc\u20ac\ud83d\ude00"}', PYTHONUTF8="0", PYTHONIOENCODING=encoding)
    assert json.loads(done.out) == {"text": "ü€😀"}


def test_an_error_of_the_system_that_a_plugin_meets_is_told_with_its_place(project: Any) -> None:
    project.plugin("opens", "class Opens:\n    def execute(self, args):\n        open('nofile')\n")
    done = project.run("call", "tool", "execute", "--name", "opens")
    assert done.status == 1
    assert "error: FileNotFoundError: " in done.err
    assert "plugin.py, line 3)" in done.err
