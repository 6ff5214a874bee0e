"""``dagstack-plugins check``: each fault with its place."""

from __future__ import annotations

from typing import Any

import pytest

GREETER = "class Greeter:\n    def greet(self): return {}\n"
READER = "class Reader:\n    def read(self, args): return {}\n"

WRONG = {
    # what: (file, path, line, error, word in the message)
    "unknown field": ("plugins/misspelt/dagstack.toml", "plugin.priorty", 6, "ManifestInvalid", "'priority'"),
    "second fault of it": ("plugins/misspelt/dagstack.toml", "plugin.runtime", 5, "ManifestInvalid", "in_proces"),
    "no TOML": ("plugins/no_toml/dagstack.toml", "", 1, "ManifestInvalid", "TOML"),
    "unknown kind": ("plugins/stray/dagstack.toml", "plugin.kind", 3, "KindUnknown", "did you mean 'greeter'?"),
    "other core": ("plugins/old/dagstack.toml", "plugin.core_version", 4, "VersionIncompatible", ">=99"),
    "other kind": ("plugins/new/dagstack.toml", "plugin.kind_api_version", 6, "VersionIncompatible", "1.0.0"),
    "other runtime": ("plugins/far/dagstack.toml", "plugin.runtime", 5, "RuntimeNotSupported", "mcp_http"),
    "no schema": ("plugins/unschemed/dagstack.toml", "plugin.config_schema.type", None, "ManifestInvalid", "nonsense"),
    "raises": ("plugins/raises/helper.py", "", 2, "PluginLoadError", "ZeroDivisionError"),
    "syntax": ("plugins/syntax/plugin.py", "", 2, "PluginLoadError", "SyntaxError"),
    "exits": ("plugins/exits/plugin.py", "", 2, "PluginLoadError", "exits"),
    "no class": ("plugins/classless/plugin.py", "", None, "PluginLoadError", "no class"),
    "dependency": ("plugins/needy/dagstack.toml", "plugin.depends_on[0]", 6, "PluginUnavailable", "'nobody'"),
    "second dependency": ("plugins/needy/dagstack.toml", "plugin.depends_on[1]", 6, "PluginUnavailable", "several"),
    "circle": ("plugins/hen/dagstack.toml", "plugin.depends_on", 6, "DependencyCycle", "tool/egg"),
    "tie": ("plugins/one/dagstack.toml", "plugin.priority", 6, "AmbiguousPlugin", "one, two"),
    "fallbacks": ("plugins/reads_too/dagstack.toml", "plugin.fallback", 6, "AmbiguousPlugin", "several fallbacks"),
    "second of a name": ("plugins/twin_b/dagstack.toml", "plugin.name", 2, "AmbiguousPlugin", "twin_a"),
    "hookspec": ("kinds/faulty/v1.yaml", "hooks[0].dispatch", 1, "HookspecInvalid", "solo"),
    "nothing": ("empty", "", None, "FileNotFoundError", "neither a plugin nor a kind"),
}


@pytest.fixture(scope="module")
def wrong(shared_project: Any) -> Any:
    project = shared_project
    project.kind("greeter", {"greet": {"input_schema": {"properties": {}}}})
    project.kind("local", {"greet": {}}, constraints={"in_process_only": True})
    project.kind("reader", {"read": {"dispatch": "capability"}})
    project.kind("faulty", {"greet": {"dispatch": "solo"}})
    project.plugin("misspelt", runtime="in_proces", priorty=3)
    project.file("plugins/no_toml/dagstack.toml", "[plugin")
    project.plugin("stray", kind="greetr")
    project.plugin("old", core_version=">=99")
    project.plugin("new", GREETER, kind="greeter", kind_api_version="2.0")
    project.plugin("far", GREETER, kind="local", runtime="mcp_http", more='[plugin.mcp_http]\nurl = "http://127.0.0.1"')
    project.plugin("unschemed", more='[plugin.config_schema]\ntype = "nonsense"')
    project.plugin("raises", "from . import helper")
    project.file("plugins/raises/helper.py", "pass\n1 / 0\n")
    project.plugin("syntax", "pass\nclass :\n")
    project.plugin("exits", "import sys\nsys.exit(0)\n")
    project.plugin("classless", "pass")
    project.plugin("needy", depends_on=["nobody", "twin"])
    project.plugin("hen", depends_on=["egg"])
    project.plugin("egg", depends_on=["chick"])
    project.plugin("chick", depends_on=["hen"])
    project.plugin("one", GREETER, kind="greeter", priority=5)
    project.plugin("two", GREETER, kind="greeter", priority=5)
    project.plugin("reads", READER, kind="reader", fallback=True)
    project.plugin("reads_too", READER, kind="reader", fallback=True)
    project.plugin("twin", at="twin_a")
    project.plugin("twin", at="twin_b")
    project.plugin("twin", READER, at="other_twin", kind="reader")
    (project.root / "empty").mkdir()
    return project


@pytest.fixture(scope="module")
def faults(wrong: Any) -> Any:
    done = wrong.run("check", "plugins", "empty", "--json")
    assert (done.status, done.err) == (1, "")
    return done.json


@pytest.mark.parametrize("what", WRONG)
def test_each_fault_has_its_place(wrong: Any, faults: Any, what: str) -> None:
    file, path, line, error, word = WRONG[what]
    at_place = [
        (one["line"], one["error"], one["message"])
        for one in faults["faults"]
        if one["file"] == str(wrong.root / file) and one["path"] == path
    ]
    assert len(at_place) == 1, faults["faults"]
    assert at_place[0][:2] == (line, error)
    assert word in at_place[0][2]


def test_nothing_else_is_a_fault(faults: Any) -> None:
    assert len(faults["faults"]) == len(WRONG)
    assert faults["ok"] is False
    places = [(one["file"], one["line"] or 99) for one in faults["faults"]]
    assert places == sorted(places)


def test_people_read_faults_by_file(wrong: Any) -> None:
    done = wrong.run("check", "plugins", "empty", COLUMNS="80")
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines.count("plugins/misspelt/dagstack.toml") == 1
    assert any(line.startswith("  line 6, plugin.priorty: ") for line in lines)
    assert lines[-1].startswith(f"{len(WRONG)} faults in ")
    assert max(map(len, lines)) <= 80


def test_the_whole_circle_is_shown(faults: Any) -> None:
    (circle,) = [one["message"] for one in faults["faults"] if one["error"] == "DependencyCycle"]
    assert "tool/hen -> tool/egg -> tool/chick -> tool/hen" in circle


@pytest.mark.parametrize("path", ["plugins", "plugins/echo", "kinds", "kinds/greeter", "kinds/greeter/v1.yaml", "."])
def test_what_is_well(project: Any, path: str) -> None:
    project.kind("greeter", {"greet": {}})
    project.plugin("echo")
    done = project.run("check", path)
    assert (done.status, done.err) == (0, "")
    plugins = 0 if path.startswith("kinds") else 1
    assert done.out == f"ok: {plugins} plugin{'s' * (not plugins)} and 1 hookspec checked\n"


def test_json_of_what_is_well(project: Any) -> None:
    project.plugin("echo", "print('hello')\nclass Echo:\n    def execute(self, args): return args\n")
    done = project.run("check", "--json", "plugins")
    assert done.json == {"ok": True, "plugins": 1, "hookspecs": 0, "faults": [], "warnings": []}
    assert (done.status, done.err) == (0, "hello\n")


def test_files_of_others_are_no_hookspecs_beside_plugins(project: Any) -> None:
    project.plugin("echo")
    project.file("api/v1.yaml", "openapi: 3.1.0\n")
    assert project.run("check", ".").status == 0


def test_the_environment_decides_nothing(project: Any) -> None:
    project.kind("greeter", {"greet": {}})
    for name in ("one", "two"):
        project.plugin(name, GREETER.replace("self", "self, args"), kind="greeter")
    assert project.run("check", "plugins", DAGSTACK_ACTIVE_GREETER="one").status == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "PATH..."),
        (("nowhere",), "does not exist"),
        (("plugins/echo/plugin.py",), "no hookspec"),
        (("plugins", "--colour"), "--colour"),
    ],
)
def test_a_wrong_command_line(
    project: Any, misuse: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], word: str
) -> None:
    project.plugin("echo")
    monkeypatch.chdir(project.root)
    assert word in misuse("check", *arguments)


def test_a_plugin_is_not_blamed_for_the_hookspec_of_its_kind(project: Any) -> None:
    project.file("kinds/greeter/v1.yaml", "kind: greeter\nkind_api_version: 1.0.0\nhoks: []\n")
    project.plugin("english", GREETER, kind="greeter")
    done = project.run("check", "kinds", "plugins", "--json")
    assert {fault["file"].rpartition("/")[2] for fault in done.json["faults"]} == {"v1.yaml"}


def test_slips_that_are_no_faults_are_warned_of(project: Any) -> None:
    project.kind("greeter", {"greet": {"input_schema": {"type": "object", "properties": {"name": {}}}}})
    project.plugin("english", "class Greeter:\n    def greet(self, nmae): return {}\n", kind="greeter")
    done = project.run("check", "plugins")
    assert done.status == 0
    assert "ok: 1 plugin" in done.out
    assert "warning: plugins/english: 'nmae' of greet gets the whole payload" in done.err
    (warning,) = project.run("check", "plugins", "--json").json["warnings"]
    assert (warning["kind"], warning["plugin"]) == ("greeter", "english")


def test_a_middleware_that_wraps_nothing_is_warned_of(project: Any) -> None:
    code = "class Limit:\n    def before(self, args): return None\n"
    wrap = '[plugin.chain_wrap]\nkinds = ["tol", "*"]\nhooks = ["execute", "exec"]'
    project.plugin("limit", code, kind="horizontal_middleware", more=wrap)
    done = project.run("check", "plugins")
    assert done.status == 0
    assert "chain_wrap names the kind 'tol', which nothing here has (did you mean 'tool'?)" in done.err
    assert "chain_wrap names the hook 'exec', which nothing here has" in done.err
    assert "'execute'" not in done.err.replace("did you mean 'execute'", "")


# --- what is none, and was likely meant to be one ---------------------------------------------------------------------


def test_a_plugin_without_its_manifest_and_hookspecs_by_other_names_are_warned_of(project: Any) -> None:
    project.plugin("fine")
    project.file("plugins/lost/plugin.py", "class Lost: ...\n")
    project.file("plugins/misnamed/plugin.py", "class Misnamed: ...\n")
    project.file("plugins/misnamed/dagstak.toml", "[plugin]\n")
    project.file("plugins/fine/inner/plugin.py", "")
    project.file("program/__init__.py", "")
    project.file("program/plugin.py", "")
    project.kind("greeter", {"greet": {"dispatch": "singleton"}})
    project.file("kinds/other.yaml", "kind: other\nhooks: []\n")
    project.file("kinds/settings.yaml", "colour: red\n")
    project.file("kinds/greeter/notes.yaml", "of no interest\n")
    project.file("kinds/misnamed/misnamed.yaml", "kind: misnamed\nhooks: []\n")
    done = project.run("check", ".")
    assert (done.status, done.out) == (0, "ok: 1 plugin and 1 hookspec checked\n")
    no_plugin = "holds a plugin.py and no manifest, so it is no plugin"
    assert sorted(done.err.splitlines()) == [
        "warning: kinds/misnamed/misnamed.yaml: is no hookspec; those are called v<major>.yaml, such as v1.yaml",
        "warning: kinds/other.yaml: is no hookspec here; that of a kind is kinds/<kind>/v<major>.yaml",
        f"warning: plugins/lost: {no_plugin}",
        f"warning: plugins/misnamed: {no_plugin}; is 'dagstak.toml' meant to be its dagstack.toml?",
    ]


def test_methods_that_nothing_calls_are_warned_of(project: Any) -> None:
    project.plugin("echo", "class Echo:\n    def setpu(self, ctx): ...\n    def execute(self, args): ...\n")
    done = project.run("check", "plugins")
    assert (done.status, "nothing calls 'setpu'; did you mean 'setup'?" in done.err) == (0, True)


def test_a_parameter_that_is_no_property_is_told_with_the_one_that_was_meant(project: Any) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "evening": {"type": "boolean"}}}
    project.kind("greeter", {"greet": {"dispatch": "singleton", "input_schema": schema}})
    project.plugin("polite", "class Polite:\n    def greet(self, nme=0, evening=0): ...\n", kind="greeter")
    done = project.run("check", ".")
    assert (done.status, "payload: 'nme' (did you mean 'name'?)" in done.out) == (1, True)
