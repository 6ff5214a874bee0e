"""A hookspec file: what it may say, and what is said of one that is wrong."""

from __future__ import annotations

import json
import string
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import PluginRegistry
from dagstack_plugins.errors import Fault, HookspecInvalid
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.kinds.yamldoc import read_yaml

HOOK: dict[str, Any] = {"name": "act", "dispatch": "singleton"}
SHORTEST = "kind: sample\nkind_api_version: 1.0.0\nhooks:\n  - name: act\n    dispatch: singleton\n"


def found(error: HookspecInvalid, path: str) -> Fault:
    """The one fault at a path."""
    at = [fault for fault in error.faults if fault.path == path]
    assert len(at) == 1, f"faults at {[fault.path for fault in error.faults]}, not one at {path}: {error}"
    return at[0]


# What a hookspec says


def test_the_shortest_hookspec_has_the_defaults(workshop) -> None:
    file = workshop.text(SHORTEST)
    kind = workshop.read(file)
    assert (kind.name, kind.version, kind.major, kind.minor, kind.description) == ("sample", "1.0.0", 1, 0, "")
    assert (kind.in_process_only, kind.singleton_per_runtime, kind.file) == (False, False, file)
    hook = kind.hooks["act"]
    assert (hook.name, hook.dispatch, hook.description) == ("act", Dispatch.SINGLETON, "")
    assert (hook.input_schema, hook.output_schema, hook.is_async) == (None, None, None)
    assert (hook.required, hook.named, hook.best_effort, hook.match) == (True, False, False, {})
    assert (hook.mcp_exposed, hook.mcp_tool_name_template) == (True, "{kind}.{plugin}.{hook}")


def test_every_field_is_read(workshop) -> None:
    kind = workshop.read(
        workshop.text(
            dedent("""\
            kind: payment_provider
            kind_api_version: "2.13.7"
            description: Charge, refund.
            constraints: {in_process_only: true, singleton_per_runtime: true}
            hooks:
              - name: charge
                dispatch: singleton
                description: Take a payment.
                input_schema: {type: object, properties: {amount: {type: integer}}}
                output_schema: schemas/out.json
                async: true
                required: false
                selection: named
                mcp_exposed: false
                mcp_tool_name_template: "{plugin}-{hook}"
              - {name: collected, dispatch: broadcast_collect, error_policy: best_effort, required: true}
              - {name: routed, dispatch: capability, match: {language: supports_languages, region: supports.region}}
            """),
            "payment_provider/v2.yaml",
        ).parent
        / workshop.text('{"type": "string"}', "payment_provider/schemas/out.json").parent.parent
        / "v2.yaml"
    )
    assert (kind.version, kind.major, kind.minor) == ("2.13.7", 2, 13)
    assert (kind.description, kind.in_process_only, kind.singleton_per_runtime) == ("Charge, refund.", True, True)
    assert list(kind.hooks) == ["charge", "collected", "routed"]
    charge = kind.hooks["charge"]
    assert (charge.description, charge.is_async, charge.required, charge.named) == (
        "Take a payment.",
        True,
        False,
        True,
    )
    assert (charge.mcp_exposed, charge.mcp_tool_name_template) == (False, "{plugin}-{hook}")
    assert charge.input_schema is not None
    assert charge.input_schema.body["properties"] == {"amount": {"type": "integer"}}
    assert charge.output_schema is not None
    assert charge.output_schema.body == {"type": "string"}
    assert (kind.hooks["collected"].best_effort, kind.hooks["collected"].required) == (True, True)
    assert kind.hooks["routed"].match == {"language": "supports_languages", "region": "supports.region"}


@pytest.mark.parametrize(
    ("dispatch", "required"),
    [
        ("singleton", True),
        ("chain", True),
        ("capability", True),
        ("broadcast_collect", False),
        ("broadcast_notify", False),
    ],
)
def test_broadcast_hooks_are_not_required_unless_they_say_so(workshop, dispatch: str, required: bool) -> None:
    assert workshop.read(workshop.hook(dispatch=dispatch)).hooks["act"].required is required
    assert workshop.read(workshop.hook(dispatch=dispatch, required=not required)).hooks["act"].required is not required


def test_capability_hooks_match_the_three_lists_by_default(workshop) -> None:
    assert workshop.read(workshop.hook(dispatch="capability")).hooks["act"].match == {
        "language": "supports_languages",
        "extension": "supports_extensions",
        "mime_type": "supports_mime_types",
    }


@pytest.mark.parametrize("written", ["1.0.0", '"1.0.0"', "'1.0.0'"])
def test_quotes_around_the_version_are_optional(workshop, written: str) -> None:
    assert workshop.read(workshop.text(SHORTEST.replace("1.0.0", written))).version == "1.0.0"


def test_a_byte_order_mark_is_no_content(workshop) -> None:
    assert workshop.read(workshop.text(b"\xef\xbb\xbf" + SHORTEST.encode())).name == "sample"


def test_json_is_a_hookspec_too(workshop) -> None:
    assert (
        workshop.read(workshop.text(json.dumps({"kind": "k", "kind_api_version": "1.0.0", "hooks": [HOOK]}))).name
        == "k"
    )


# What is wrong with one


def test_all_faults_are_told_at_once_with_file_line_and_path(workshop) -> None:
    workshop.text('{"type": "strin"}', "sample/schemas/bad.json")
    file = workshop.text(
        dedent("""\
        kind: Sample
        kind_api_version: 1.0
        colour: red
        hooks:
          - name: charge
            dispatch: singelton
            input_schema: schemas/none.json
          - name: on
            dispatch: singleton
            match: {language: supports_languages}
          - name: charge
            dispatch: chain
            input_schema: schemas/bad.json
            output_schema:
              type: object
              properties:
                a:
                  $ref: http://example.com/a.json
            mcp_tool_name_template: "{kind}.{plugim}"
          - name: charge
            name: refund
            dispatch: chain
            description: 2024-02-30
        """)
    )
    error = workshop.refused(file)
    assert error.file == str(file)
    assert str(file) in str(error)
    assert {(fault.line, fault.path) for fault in error.faults} == {
        (1, "kind"),
        (2, "kind_api_version"),
        (3, "colour"),
        (6, "hooks[0].dispatch"),
        (7, "hooks[0].input_schema"),
        (8, "hooks[1].name"),
        (10, "hooks[1].match"),
        (11, "hooks[2].name"),
        (13, "hooks[2].input_schema"),
        (18, "hooks[2].output_schema.properties.a['$ref']"),
        (19, "hooks[2].mcp_tool_name_template"),
        (20, "hooks[3].name"),
        (21, "hooks[3].name"),
        (23, "hooks[3].description"),
    }
    assert [fault.line for fault in error.faults] == sorted(fault.line for fault in error.faults)
    for fault in error.faults:
        assert f"line {fault.line}: {fault.path}" in str(error)


def test_a_number_for_a_version_says_what_yaml_made_of_it(workshop) -> None:
    fault = found(workshop.refused(workshop.text(SHORTEST.replace("1.0.0", "1.0"))), "kind_api_version")
    assert fault.line == 2
    assert "number" in fault.message
    assert "1.0.0" in fault.message


@pytest.mark.parametrize("version", ["1", "1.0", "01.0.0", "1.0.0.0", "1.0.x", "v1.0.0", "1.0.0-rc1", "", "1.0.0\n"])
def test_a_version_has_three_numbers(workshop, version: str) -> None:
    found(workshop.refused(workshop.spec(HOOK, kind_api_version=version, name="any.yaml")), "kind_api_version")


@pytest.mark.parametrize(("word", "read"), [("on", "true"), ("no", "false"), ("yes", "true")])
def test_a_name_that_yaml_reads_as_a_boolean_is_to_be_quoted(workshop, word: str, read: str) -> None:
    fault = found(workshop.refused(workshop.text(SHORTEST.replace("act", word))), "hooks[0].name")
    assert read in fault.message
    assert "quotes" in fault.message
    assert list(workshop.read(workshop.text(SHORTEST.replace("act", f'"{word}"'))).hooks) == [word]


@pytest.mark.parametrize(
    "name",
    ["aio", "sync", "setup", "teardown", "health", "matches", "_act", "__call__", "Act", "a-b", "", "1a", "é", "a b"],
)
def test_names_that_no_hook_may_have(workshop, name: str) -> None:
    found(workshop.refused(workshop.spec({"name": name, "dispatch": "singleton"})), "hooks[0].name")


@pytest.mark.parametrize("name", ["import", "class", "lambda", "async"])
def test_a_hook_that_no_method_could_implement_is_refused(workshop, name: str) -> None:
    assert (
        "Python" in found(workshop.refused(workshop.spec({"name": name, "dispatch": "chain"})), "hooks[0].name").message
    )


@pytest.mark.parametrize("name", ["Sample", "a-b", "", "1a", "_a", "a.b", "../a"])
def test_names_that_no_kind_may_have(workshop, name: str) -> None:
    found(workshop.refused(workshop.spec(HOOK, kind=name)), "kind")


@pytest.mark.parametrize(
    ("field", "value", "its_own"),
    [
        ("selection", "named", "singleton"),
        ("error_policy", "best_effort", "broadcast_collect"),
        ("match", {"a": "supports.a"}, "capability"),
    ],
)
def test_fields_of_one_dispatch_class(workshop, field: str, value: Any, its_own: str) -> None:
    workshop.read(workshop.hook(dispatch=its_own, **{field: value}))
    for other in set(Dispatch) - {its_own}:
        fault = found(workshop.refused(workshop.hook(dispatch=other, **{field: value})), f"hooks[0].{field}")
        assert its_own in fault.message
        assert other in fault.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dispatch", "singelton"),
        ("dispatch", None),
        ("dispatch", ["singleton"]),
        ("selection", "first"),
        ("async", "yes"),
        ("required", 1),
        ("mcp_exposed", "no"),
        ("description", 5),
        ("input_schema", 5),
        ("input_schema", True),
        ("output_schema", []),
        ("mcp_tool_name_template", "{0}"),
        ("mcp_tool_name_template", "{kind.name}"),
        ("mcp_tool_name_template", "{"),
    ],
)
def test_a_field_of_a_hook_with_a_value_it_cannot_have(workshop, field: str, value: Any) -> None:
    found(workshop.refused(workshop.spec({**HOOK, field: value})), f"hooks[0].{field}")


def test_unknown_fields_name_the_one_that_was_meant(workshop) -> None:
    error = workshop.refused(workshop.spec({**HOOK, "dispach": 1, "input_scheme": {}}, constrains={}))
    assert "'dispatch'" in found(error, "hooks[0].dispach").message
    assert "'input_schema'" in found(error, "hooks[0].input_scheme").message
    assert "'constraints'" in found(error, "constrains").message


def test_unknown_constraints_and_match_lists(workshop) -> None:
    error = workshop.refused(
        workshop.spec(
            {"name": "act", "dispatch": "capability", "match": {"language": "supports_langs"}},
            {"name": "act2", "dispatch": "capability", "match": {}},
            constraints={"in_process": True},
        )
    )
    assert "in_process_only" in found(error, "constraints.in_process").message
    assert "supports_languages" in found(error, "hooks[0].match.language").message
    found(error, "hooks[1].match")


def test_missing_fields_are_named(workshop) -> None:
    error = workshop.refused(workshop.text("description: nothing else\n"))
    assert {"'kind' is missing", "'kind_api_version' is missing", "'hooks' is missing"} == {
        fault.message for fault in error.faults
    }
    error = workshop.refused(workshop.text("kind: k\nkind_api_version: 1.0.0\nhooks:\n  - description: d\n"))
    assert {(fault.line, fault.path, fault.message) for fault in error.faults} == {
        (4, "hooks[0]", "'name' is missing"),
        (4, "hooks[0]", "'dispatch' is missing"),
    }


@pytest.mark.parametrize("hooks", [[], {}, None, "act", [None], ["act"], [[]]])
def test_hooks_are_a_list_of_mappings_and_not_empty(workshop, hooks: Any) -> None:
    error = workshop.refused(workshop.text(json.dumps({"kind": "k", "kind_api_version": "1.0.0", "hooks": hooks})))
    assert error.faults[0].path.startswith("hooks")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"- a\n", "mapping"),
        (b"just words", "mapping"),
        (b"kind: [a\n", "not YAML"),
        (b"a: 1\n---\nb: 1\n", "another document"),
        (b"kind: \xff", "not UTF-8"),
        ("kind: a".encode("utf-16"), "not UTF-8"),
        (b"kind: a\x00b", "not YAML"),
        (b"[a]: 1", "plain word"),
        (b"a: !!python/object:os.system {}", "tag"),
        (b"a: !!python/name:os.system x", "tag"),
        (b"a: !!set {b}", "tag"),
        (b"[" * 100_000, "100 levels"),
        (b"{a: " * 150 + b"}" * 150, "100 levels"),
        (b"a: &x [*x]", "aliases"),
    ],
)
def test_files_that_hold_no_hookspec(workshop, content: bytes, said: str) -> None:
    file = workshop.text(content)
    error = workshop.refused(file)
    assert error.file == str(file)
    assert said in str(error)


def test_aliases_are_refused_each_with_its_line(workshop) -> None:
    text = SHORTEST + "    input_schema: &s {type: object}\n    output_schema: *s\n  - name: b\n    dispatch: *s\n"
    error = workshop.refused(workshop.text(text))
    assert [(fault.line, fault.path) for fault in error.faults] == [(7, "*s"), (9, "*s")]
    assert "alias" in error.faults[0].message


def test_duplicate_keys_are_told_with_both_lines(workshop) -> None:
    error = workshop.refused(workshop.text(SHORTEST + "    description: a\n    dispatch: chain\n"))
    fault = found(error, "hooks[0].dispatch")
    assert fault.line == 7
    assert "line 5" in fault.message


@pytest.mark.parametrize(
    "value",
    [
        "2024-01-01",
        "2024-01-01 10:00:00",
        "2024-13-45",
        ".nan",
        "-.inf",
        "!!binary aGk=",
        "!!int x",
        "!own x",
        "1" * 5000,
    ],
)
def test_what_yaml_knows_and_json_does_not(workshop, value: str) -> None:
    error = workshop.refused(workshop.text(SHORTEST + f"description: {value}\n"))
    assert [(fault.line, fault.path) for fault in error.faults] == [(6, "description")]


@pytest.mark.parametrize("key", ["1", "on", "~", "2024-01-01", "1.5"])
def test_keys_that_yaml_reads_as_something_else_are_to_be_quoted(workshop, key: str) -> None:
    schema = "    input_schema:\n      type: object\n      properties:\n        {key}: {{type: string}}\n"
    text = SHORTEST + schema.format(key=key)
    error = workshop.refused(workshop.text(text))
    assert [fault.line for fault in error.faults] == [9]
    assert "quotes" in error.faults[0].message
    quoted = workshop.read(workshop.text(SHORTEST + schema.format(key=f"'{key}'"))).hooks["act"].input_schema
    assert list(quoted.body["properties"]) == [key]


def test_a_merge_key_is_no_way_round_aliases(workshop) -> None:
    error = workshop.refused(workshop.text(SHORTEST + "<<: {description: d}\n"))
    assert {fault.line for fault in error.faults} == {6}


# Files, folders, and the same kind twice


def test_the_file_name_agrees_with_the_major(workshop) -> None:
    error = workshop.refused(workshop.text(SHORTEST.replace("1.0.0", "2.1.0")))
    fault = found(error, "kind_api_version")
    assert "v1.yaml" in fault.message
    assert "2" in fault.message
    assert workshop.read(workshop.text(SHORTEST.replace("1.0.0", "2.1.0"), "sample/v2.yml")).major == 2
    assert workshop.read(workshop.text(SHORTEST.replace("1.0.0", "3.1.0"), "draft.yaml")).major == 3


def test_a_hookspec_is_added_by_file_by_its_folder_and_with_all_kinds_around_it(workshop) -> None:
    file = workshop.text(SHORTEST)
    workshop.text(SHORTEST.replace("sample", "other"), "other/v1.yml")
    workshop.text("no: hookspec", "other/notes.yaml")
    assert PluginRegistry().add_hookspecs(file) == ["sample"]
    assert PluginRegistry().add_hookspecs(str(file)) == ["sample"]
    assert PluginRegistry().add_hookspecs(file.parent) == ["sample"]
    registry = PluginRegistry()
    assert sorted(registry.add_hookspecs(workshop.folder)) == ["other", "sample"]
    assert {"other", "sample"} <= set(registry.kinds())


def test_a_relative_path_counts_from_the_working_directory(workshop, monkeypatch) -> None:
    workshop.text(SHORTEST)
    monkeypatch.chdir(workshop.folder)
    assert PluginRegistry().add_hookspecs("sample/v1.yaml") == ["sample"]
    assert PluginRegistry().add_hookspecs(Path()) == ["sample"]


def test_nothing_to_add(workshop) -> None:
    (workshop.folder / "empty").mkdir()
    assert "v<major>.yaml" in str(workshop.refused(workshop.folder / "empty"))
    missing = workshop.folder / "none.yaml"
    error = workshop.refused(missing)
    assert error.file == str(missing)
    with pytest.raises(TypeError, match="add_hookspecs"):
        PluginRegistry().add_hookspecs(5)


def test_faults_of_several_files_are_told_together(workshop) -> None:
    workshop.text("a: 1", "one/v1.yaml")
    workshop.text("b: 1", "two/v1.yaml")
    error = workshop.refused(workshop.folder)
    assert "one" in str(error)
    assert "two" in str(error)


def test_the_same_kind_twice_is_fine_with_the_same_content_only(workshop) -> None:
    registry = workshop.registry(workshop.spec(HOOK, description="d"))
    types = registry.types("sample")
    assert registry.add_hookspecs(workshop.spec(HOOK, description="d", name="elsewhere/sample/v1.yaml")) == ["sample"]
    assert registry.types("sample") is types
    for other in (
        workshop.spec(HOOK, description="e", name="other/v1.yaml"),
        workshop.spec({**HOOK, "dispatch": "chain"}, description="d", name="third/v1.yaml"),
        workshop.spec(HOOK, description="d", kind_api_version="1.1.0", name="fourth/v1.yaml"),
    ):
        with pytest.raises(HookspecInvalid, match="sample") as caught:
            registry.add_hookspecs(other)
        assert caught.value.kind == "sample"
        assert caught.value.file == str(other)


@pytest.mark.parametrize("changed", ["schemas/in.json", "schemas/deep.json"])
def test_content_is_what_the_schema_files_say_however_they_are_reached(workshop, changed: str) -> None:
    files = {"schemas/in.json": {"$ref": "deep.json"}, "schemas/deep.json": {"properties": {"a": {"type": "string"}}}}

    def add(name: str, files: dict[str, Any]) -> Path:
        return workshop.spec({**HOOK, "input_schema": "schemas/in.json"}, files=files, name=f"{name}/v1.yaml")

    registry = workshop.registry(add("one", files))
    registry.add_hookspecs(add("two", files))
    with pytest.raises(HookspecInvalid, match="other content"):
        registry.add_hookspecs(add("three", {**files, changed: {"properties": {"a": {"type": "integer"}}}}))


def test_a_schema_in_a_file_and_the_same_written_inline_are_one_contract(workshop) -> None:
    schema = workshop.object(a={"type": "string"})
    registry = workshop.registry(workshop.hook("in.json", files={"in.json": schema}))
    assert registry.add_hookspecs(workshop.spec({**HOOK, "input_schema": schema}, name="inline/v1.yaml")) == ["sample"]


# The reader underneath

WORDS = st.text(st.sampled_from(string.ascii_letters + string.digits + " _-:#'\"{}[],&*!|>%@`\nöß😀"), max_size=12)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN, st.sampled_from([None, True, False]), st.sampled_from(["|", '"', "'", None]))
def test_yaml_is_read_as_pyyaml_reads_it(value: Any, flow: bool | None, style: str | None) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, default_style=style, allow_unicode=True, sort_keys=False)
    document = read_yaml(text)
    if "*" in text and not document.data:  # the dumper writes an alias for an object that stands twice
        return
    assert document.faults == []
    assert document.data == yaml.safe_load(text)
    assert json.loads(json.dumps(document.data)) == document.data


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers(), min_size=1, max_size=6))
def test_each_key_knows_its_line(value: dict[str, int]) -> None:
    document = read_yaml("".join(f"{key}: {number}\n" for key, number in value.items()))
    for line, key in enumerate(value, start=1):
        assert document.line((key,)) == line
        assert document.line((key, "below", 3)) == line


def test_what_a_chain_returns_is_the_next_input(workshop) -> None:
    hook = workshop.hook({"type": "object"}, {"type": "string"}, dispatch="chain")
    assert "an object; this schema's type is 'string'" in str(workshop.refused(hook))


@pytest.mark.parametrize(
    ("others", "match", "hint"), [(False, "region", ""), (True, "langage", "did you mean 'language'")]
)
def test_a_match_of_no_property_is_a_slip(workshop, others: bool, match: str, hint: str) -> None:
    schema = {"type": "object", "properties": {"language": {}}, "additionalProperties": others}
    hook = workshop.hook(schema, dispatch="capability", match={match: "supports_languages"})
    said = str(workshop.refused(hook))
    assert f"hooks[0].match.{match}: no property of the input is called so" in said
    assert hint in said


def test_a_match_may_name_what_the_schema_admits_without_declaring_it(workshop) -> None:
    schema = {"type": "object", "properties": {"text": {}}}
    hook = workshop.hook(schema, dispatch="capability", match={"region": "supports.region"})
    assert "sample" in workshop.registry(hook).kinds()


def test_a_slip_in_a_choice_names_the_one_that_was_meant(workshop) -> None:
    said = str(workshop.refused(workshop.hook({"type": "object"}, dispatch="broadcast_colect")))
    assert "did you mean 'broadcast_collect'?" in said


def test_a_list_of_a_manifest_that_does_not_exist_is_told_whatever_the_property_is_called(workshop) -> None:
    hook = workshop.hook({"type": "object"}, dispatch="capability", match={"name": "languages"})
    assert "'languages' names no list of a manifest" in str(workshop.refused(hook))


def test_a_tab_is_told_as_one(tmp_path: Path) -> None:
    file = tmp_path / "v1.yaml"
    file.write_text("kind: sample\nhooks:\n\t- name: act\n")
    with pytest.raises(HookspecInvalid, match="line 3: not YAML: a tab at column 1"):
        PluginRegistry().add_hookspecs(file)


def test_a_built_in_kinds_name_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "v1.yaml"
    file.write_text("kind: tool\nkind_api_version: 1.0.0\nhooks: [{name: run, dispatch: singleton}]\n")
    with pytest.raises(HookspecInvalid, match=r"'tool' .* is known with other content"):
        PluginRegistry().add_hookspecs(file)
