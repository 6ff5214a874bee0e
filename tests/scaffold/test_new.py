"""New kinds, plugins and packages are right as they are."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import Dispatch, PluginRegistry, run_contract_suite
from dagstack_plugins.kinds.builtin import builtin_hookspecs, builtin_kinds
from dagstack_plugins.kinds.hookspec import hookspec_files, read_hookspec
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.scaffold.files import write_new
from dagstack_plugins.scaffold.kind import new_kind
from dagstack_plugins.scaffold.plugin import new_package, new_plugin
from dagstack_plugins.scaffold.sample import sample

ROOT = Path(__file__).parents[2]
KINDS = [
    *(read_hookspec(file) for file in hookspec_files(builtin_hookspecs())),
    *(read_hookspec(file) for file in hookspec_files(ROOT / "examples/code_indexer/kinds")),
    *(read_hookspec(file) for file in hookspec_files(ROOT / "tests/contract/kinds")),
]


def assert_good(folder: Path, hookspecs: Path | None = None) -> None:
    result = run_contract_suite(manifest=folder, hookspecs=[hookspecs] if hookspecs else None, examples=10)
    assert result.ok, result.format_failures()
    registry = PluginRegistry()
    if hookspecs is not None:
        registry.add_hookspecs(hookspecs)
    registry.discover(folder.parent, strict=True)
    assert not [
        warning for slot in map(registry.slot, registry.kinds()) for one in slot.plugins for warning in one.warnings
    ]


@pytest.mark.parametrize("dispatch", list(Dispatch))
def test_a_new_plugin_of_a_new_kind_keeps_its_contract(tmp_path: Path, dispatch: Dispatch) -> None:
    made = write_new(tmp_path / "kinds", new_kind("greeter", "greet", dispatch))
    kind = read_hookspec(made[0])
    assert (kind.name, kind.hooks["greet"].dispatch) == ("greeter", dispatch)
    write_new(tmp_path / "plugins", new_plugin("polite", kind))
    assert_good(tmp_path / "plugins/polite", tmp_path / "kinds")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_new_plugin_of_any_kind_keeps_its_contract(tmp_path: Path, kind: Kind) -> None:
    files = write_new(tmp_path / "plugins", new_plugin("made", kind))
    compile(files[1].read_text(), "plugin.py", "exec")
    assert_good(tmp_path / "plugins/made", kind.file)


def test_an_async_kind_has_async_plugins(tmp_path: Path) -> None:
    hooks: list[dict[str, Any]] = [
        {"name": "fetch", "dispatch": "singleton", "async": True, "output_schema": {"type": "integer", "minimum": 3}},
        {"name": "forget", "dispatch": "singleton", "async": False},
    ]
    (tmp_path / "kinds/store").mkdir(parents=True)
    declared = {"kind": "store", "kind_api_version": "1.2.0", "hooks": hooks}
    (tmp_path / "kinds/store/v1.yaml").write_text(json.dumps(declared))
    write_new(tmp_path / "plugins", new_plugin("made", read_hookspec(tmp_path / "kinds/store/v1.yaml")))
    code = (tmp_path / "plugins/made/plugin.py").read_text()
    assert "async def fetch(self, args: Any) -> int:" in code
    assert "return 3" in code
    assert 'execution_model = "async"' in (tmp_path / "plugins/made/dagstack.toml").read_text()
    assert 'kind_api_version = "1.2"' in (tmp_path / "plugins/made/dagstack.toml").read_text()
    assert_good(tmp_path / "plugins/made", tmp_path / "kinds")


ODD = {
    "type": "object",
    "required": ["class", "with space", "ctx"],
    "properties": {name: {"type": "string"} for name in ("class", "with space", "ctx", "ok")},
}


def test_names_that_are_no_parameters_are_no_harm(tmp_path: Path) -> None:
    hooks = [
        {
            "name": "go",
            "dispatch": "singleton",
            "description": 'Ends with a "quote" \\ and """',
            "input_schema": ODD,
            "output_schema": ODD,
        }
    ]
    (tmp_path / "kinds/odd").mkdir(parents=True)
    (tmp_path / "kinds/odd/v1.yaml").write_text(
        json.dumps({"kind": "odd", "kind_api_version": "1.0.0", "hooks": hooks})
    )
    write_new(tmp_path / "plugins", new_plugin("2-odd", read_hookspec(tmp_path / "kinds/odd/v1.yaml")))
    tree = ast.parse((tmp_path / "plugins/2-odd/plugin.py").read_text())
    assert 'Ends with a "quote" \\ and """' in ast.dump(tree).replace("\\\\", "\\")
    assert_good(tmp_path / "plugins/2-odd", tmp_path / "kinds")


# --- packages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_package_of_any_kind_is_good_python_and_toml(kind: Kind) -> None:
    files = new_package("acme-thing", kind)
    for name, text in files.items():
        if name.endswith(".py"):
            compile(text, name, "exec")
    assert kind.name in builtin_kinds() or f"acme-thing/kinds/{kind.name}/v1.yaml" in files


# --- samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_all_schemas_of_these_kinds_have_a_sample(kind: Kind) -> None:
    for hook in kind.hooks.values():
        for schema in (hook.input_schema, hook.output_schema):
            if schema is not None:
                kind.schemas.validator(schema).validate(sample(schema, kind.schemas))
