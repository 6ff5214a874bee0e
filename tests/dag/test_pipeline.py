"""Pipelines: graphs in YAML, read, checked with what is there, and run."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagstack_plugins import PluginRegistry
from dagstack_plugins.dag import DagError, DAGExecutor
from dagstack_plugins.dag.pipeline.document import Pipeline, PipelineInvalid, load_pipeline
from dagstack_plugins.dag.pipeline.fitting import pipeline_tasks
from dagstack_plugins.dag.pipeline.references import filled, references

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(text: str) -> Path:
        file = tmp_path / "pipeline.yaml"
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    return made


class Echo:
    def execute(self, args: Any) -> Any:
        return dict(args)


class Fails:
    def execute(self, args: Any) -> Any:
        raise ValueError("no such column")


@pytest.fixture
def registry() -> PluginRegistry:
    made = PluginRegistry()
    for name, plugin in (("echo", Echo()), ("fails", Fails())):
        made.register(plugin, {"kind": "tool", "name": name, "runtime": "in_process", "core_version": ">=0.1"})
    return made


def node(**fields: Any) -> dict[str, Any]:
    return {"kind": "tool", "hook": "execute", "plugin": "echo", **fields}


def run(pipeline: Pipeline, registry: PluginRegistry, **more: Any) -> Any:
    tasks = pipeline_tasks(pipeline, registry)
    with registry.running():
        return DAGExecutor(pipeline.dag(), gates=pipeline.gates(), **pipeline.settings, **more).execute(tasks)


# What is read


WHOLE = """
pipeline: nightly
description: For trial.
max_workers: 2
fail_fast: false
timeout: 5
retries: 1
nodes:
  first:
    description: The beginning.
    kind: tool
    hook: execute
    plugin: echo
    payload: {rows: [{n: 1}, {n: 2}], folder: "${pipeline.folder}", by: "${pipeline.name}"}
  second:
    kind: tool
    hook: execute
    plugin: echo
    payload:
      row: ${first.rows[1]}
      text: "${first.rows[0].n} of $${first} in ${first.by}"
  look:
    gate: {timeout: 60, auto_approve: true}
    after: [second]
  third:
    kind: tool
    hook: execute
    plugin: echo
    gate: true
    payload: {all: "${second}"}
    after: [look, second]
"""


def test_a_whole_pipeline(write: Write, registry: PluginRegistry) -> None:
    pipeline = load_pipeline(write(WHOLE))
    assert (pipeline.name, pipeline.description) == ("nightly", "For trial.")
    assert pipeline.settings == {"max_workers": 2, "fail_fast": False, "timeout": 5, "retries": 1}
    dag = pipeline.dag()
    assert set(dag.edges()) == {("first", "second"), ("second", "look"), ("look", "third"), ("second", "third")}
    assert dag.attributes("first") == {
        "kind": "tool",
        "hook": "execute",
        "plugin": "echo",
        "description": "The beginning.",
    }
    gates = pipeline.gates()
    assert {name: (gate.timeout, gate.auto_approve) for name, gate in gates.items()} == {
        "look": (60, True),
        "third": (None, False),
    }
    tasks = pipeline_tasks(pipeline, registry)
    with registry.running():
        result = DAGExecutor(dag, **pipeline.settings).execute(tasks)
    assert result.ok, result.error
    assert result["first"]["folder"] == str(pipeline.file.parent)
    assert result["second"] == {"row": {"n": 2}, "text": "1 of ${first} in nightly"}
    assert result["third"] == {"all": result["second"]}
    assert result["look"] is None


def test_a_node_that_fails_keeps_others_from_running(write: Write, registry: PluginRegistry) -> None:
    nodes = {"a": node(plugin="fails"), "b": node(payload={"x": "${a}"})}
    result = run(load_pipeline(write(json.dumps({"pipeline": "p", "nodes": nodes}))), registry)
    assert (result.failed, result.skipped) == (1, 1)
    assert "no such column" in str(result.error)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("${a.row}", "${a.row}: ${a} has no 'row' (did you mean 'rows'?)"),
        ("${a.zzz}", "${a.zzz}: ${a} has no 'zzz'; it has: rows"),
        ("${a.rows[2]}", "${a.rows[2]}: ${a.rows} has no 2; it is a list of 2"),
        ("${a.rows.n}", "${a.rows.n}: ${a.rows} has no 'n'; it is a list of 2"),
        ("${a.rows[0].n.m}", "${a.rows[0].n.m}: ${a.rows[0].n} has no 'm'; it is 1"),
        ("rows: ${a.rows}", "${a.rows} is a list, which cannot stand in the middle of a text"),
        ("first: ${a.rows[0]}", "${a.rows[0]} is an object, which cannot stand in the middle of a text"),
    ],
)
def test_a_result_that_has_not_what_is_meant(write: Write, registry: PluginRegistry, reference: str, told: str) -> None:
    nodes = {"a": node(payload={"rows": [{"n": 1}, {"n": 2}]}), "b": node(payload={"x": reference})}
    result = run(load_pipeline(write(json.dumps({"pipeline": "p", "nodes": nodes}))), registry)
    assert str(result.node_results["b"].error) == told


# References


def test_what_stands_alone_keeps_its_type_and_what_stands_in_text_becomes_text() -> None:
    results = {"a": {"n": 1, "x": 2.5, "yes": True, "none": None, "t": "text", "list": [1]}}
    for name, value in results["a"].items():
        assert filled(f"${{a.{name}}}", results) == value
    assert filled("${a.n} ${a.x} ${a.yes} ${a.none} ${a.t}", results) == "1 2.5 true null text"
    assert filled("${ a.n }", results) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_has_no_reference_stays_and_what_is_put_in_comes_out(value: Any) -> None:
    text = json.dumps(value)
    if "${" not in text:
        assert not list(references(value))
        assert filled(value, {}) == value
    assert filled({"x": ["${a}", {"y": "${a}"}]}, {"a": value}) == {"x": [value, {"y": value}]}


@given(st.text(st.characters(exclude_characters="{}$")))
def test_letters_that_are_doubled_stand_for_themselves(text: str) -> None:
    assert filled(f"$${{{text}}}", {}) == f"${{{text}}}"
    assert not list(references(f"$${{{text}}}"))


# What is wrong


FAULTY = """
pipeline: 1st
descripton: What it is for.
max_workers: 0
nodes:
  a b: {kind: tool, hook: execute}
  pipeline: {gate: true}
  lonely: {}
  half: {kind: tool}
  other: {hook: execute, plugin: echo}
  loose: {plugin: echo, gate: true}
  early: {after: [erly, early, 7], gate: {timeout: 0, auto: true}}
  refers:
    kind: tool
    hook: execute
    payload:
      list:
        - ${missing.rows}
        - ${refers}
        - ${}
        - ${a
        - ${pipeline.home}
  one: {gate: true, after: [three]}
  two: {gate: true, after: [one]}
  three: {gate: false, after: [two]}
  text: hello
"""


def test_all_faults_at_once_each_with_its_line(write: Write) -> None:
    with pytest.raises(PipelineInvalid) as caught:
        load_pipeline(write(FAULTY))
    assert [str(fault) for fault in caught.value.faults] == [
        "line 1: pipeline: '1st' does not match '^[A-Za-z][A-Za-z0-9_-]*$'",
        (
            "line 2: descripton: there is no such field (did you mean 'description'?); the fields: pipeline, "
            "description, max_workers, fail_fast, timeout, retries, nodes"
        ),
        "line 3: max_workers: expected 1 or more, found 0",
        "line 5: nodes['a b']: 'a b' is no name: it has letters, digits, _ and -, and begins with a letter or _",
        "line 6: nodes.pipeline: a node is not called 'pipeline', as references mean the pipeline itself by that",
        "line 7: nodes.lonely: it does nothing: a node has a kind and a hook, or a gate, or all of them",
        "line 8: nodes.half.kind: 'kind' is nothing without 'hook'",
        "line 9: nodes.other.hook: 'hook' is nothing without 'kind'",
        "line 10: nodes.loose.plugin: 'plugin' is nothing without 'kind' and 'hook'",
        "line 11: nodes.early.after[2]: expected a string, found 7, an integer",
        "line 11: nodes.early.gate.timeout: expected more than 0, found 0",
        "line 11: nodes.early.gate.auto: there is no such field; the fields: timeout, auto_approve",
        "line 11: nodes.early.after[0]: there is no node 'erly' (did you mean 'early'?)",
        "line 11: nodes.early.after[1]: node 'early' would wait for itself",
        "line 17: nodes.refers.payload.list[0]: there is no node 'missing'",
        "line 18: nodes.refers.payload.list[1]: node 'refers' would wait for itself",
        "line 19: nodes.refers.payload.list[2]: ${} is no reference: write ${node}, ${node.field} or ${node.list[0]}",
        "line 20: nodes.refers.payload.list[3]: '${a' has no end: write }; or $${ for the letters themselves",
        (
            "line 21: nodes.refers.payload.list[4]: ${pipeline.home} is unknown: there are ${pipeline.folder} "
            "and ${pipeline.name}"
        ),
        "line 22: nodes.one: nodes wait for each other in a circle: one -> two -> three -> one",
        "line 24: nodes.three.gate: a gate is true, or more about it; for none, leave the field out",
        "line 25: nodes.text: expected an object, found 'hello', a string",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty; a pipeline has a name and nodes"),
        ("- a", "line 1: expected an object, found ['a'], a list"),
        ("a: [", "line 2: not YAML: did not find expected node content"),
        ("pipeline: p\nnodes: {}", "line 2: nodes: there are none"),
        ("pipeline: p\nnodes: null", "line 2: nodes: expected an object, found null"),
        ("nodes: {a: {gate: true}}", "'pipeline' is missing"),
        (
            "pipeline: p\nnodes:\n  a: {gate: true}\n  a: {gate: true}",
            "line 4: nodes.a: the key stands twice, first in line 3",
        ),
        (
            "pipeline: p\nnodes:\n  a: &x {gate: true}\n  b: *x",
            "line 4: *x: aliases are not allowed: write the value out",
        ),
        ("pipeline: p\nnodes: {a: {gate: 2}}", "nodes.a.gate: expected true or false or an object, found 2"),
        (
            "pipeline: p\nretries: true\nnodes: {a: {gate: true}}",
            "line 2: retries: expected an integer, found True, a boolean",
        ),
    ],
)
def test_files_that_are_no_pipelines(write: Write, text: str, told: str) -> None:
    with pytest.raises(PipelineInvalid) as caught:
        load_pipeline(write(text))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "a: {gate: true, after: approve}",
            "nodes.a.after: expected a list, found 'approve', a string; write [approve]",
        ),
        ("a: {kind: k, hook: h, payload: {x: ${b}/c}}", 'within {…} and […], put "${…}" in quotes'),
        ('"": {gate: true, after: [x]}', "there is no node 'x'"),
        ("a: {kind: k, hook: h, payload: {'${b}': 1}}", "a reference stands in a value, not in a key"),
        (f"a: {{gate: {{timeout: {10**400}}}}}", "nodes.a.gate.timeout: "),
    ],
)
def test_slips_with_their_cure(write: Write, text: str, told: str) -> None:
    with pytest.raises(PipelineInvalid) as caught:
        load_pipeline(write(f"pipeline: p\nnodes:\n  {text}\n"))
    assert told in str(caught.value)
    assert "line 3: " in str(caught.value)


def test_each_circle_is_told(write: Write) -> None:
    nodes = {name: {"gate": True, "after": [other]} for name, other in ("ab", "ba", "cd", "dc")}
    with pytest.raises(PipelineInvalid) as caught:
        load_pipeline(write(json.dumps({"pipeline": "p", "nodes": nodes})))
    assert sorted(str(fault).partition("circle: ")[2] for fault in caught.value.faults) == [
        "a -> b -> a",
        "c -> d -> c",
    ]


def test_whole_numbers_with_a_point(write: Write) -> None:
    pipeline = load_pipeline(write("pipeline: p\nretries: 1.0\nmax_workers: 2.0\nnodes: {a: {gate: true}}\n"))
    assert pipeline.settings == {"retries": 1, "max_workers": 2}
    DAGExecutor(pipeline.dag(), **pipeline.settings)


def test_dollars_beside_references() -> None:
    assert filled("$${ and ${b}", {"b": 1}) == "${ and 1"
    assert filled("5 $, ${b} $", {"b": 1}) == "5 $, 1 $"
    assert filled({"$${b}": 1}, {}) == {"${b}": 1}


def test_what_cannot_change_is_not_tried_again(write: Write, registry: PluginRegistry) -> None:
    nodes = {"a": node(), "b": node(payload={"x": "${a.none}"}), "c": node(plugin="fails")}
    text = json.dumps({"pipeline": "p", "retries": 2, "fail_fast": False, "nodes": nodes})
    result = run(load_pipeline(write(text)), registry)
    assert {name: one.attempts for name, one in result.node_results.items()} == {"a": 1, "b": 1, "c": 3}


class Picky:
    def get_schema(self, _: Any) -> Any:
        return {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "string"}},
            "additionalProperties": False,
        }

    def execute(self, args: Any) -> Any:
        return args


class Late:
    def setup(self) -> None:
        raise OSError("no licence")

    def execute(self, args: Any) -> Any:
        return args


def test_what_plugins_say_when_they_were_started(write: Write, registry: PluginRegistry) -> None:
    for name, plugin in (("picky", Picky()), ("late", Late())):
        registry.register(plugin, {"kind": "tool", "name": name, "runtime": "in_process", "core_version": ">=0.1"})
    nodes = {"a": node(plugin="picky", payload={"fil": "x"}), "b": node(plugin="late")}
    pipeline = load_pipeline(write(json.dumps({"pipeline": "p", "nodes": nodes}, indent=1)))
    pipeline_tasks(pipeline, registry)
    with registry.running(), pytest.raises(PipelineInvalid) as caught:
        pipeline_tasks(pipeline, registry)
    told = str(caught.value)
    assert "nodes.a.payload: tool.execute: the input is not what plugin 'picky' takes\n      - $" in told
    assert "'file' is missing" in told
    assert "nodes.b.plugin: plugin 'late' cannot be used: it is" in told
    assert "no licence" in told


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PipelineInvalid, match="it cannot be read: No such file or directory"):
        load_pipeline(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"pipeline: caf\xe9")
    with pytest.raises(PipelineInvalid, match="not UTF-8: "):
        load_pipeline(tmp_path / "latin.yaml")


def test_what_does_not_fit_the_plugins_that_are_there(write: Write, registry: PluginRegistry) -> None:
    text = """
    pipeline: p
    nodes:
      kind: {kind: tol, hook: execute}
      hook:
        kind: tool
        hook: exekute
        plugin: echo
      plugin: {kind: tool, hook: execute, plugin: eco}
      unnamed: {kind: tool, hook: execute}
      payload:
        kind: chunker
        hook: chunk
        payload: {max_size: 0}
    """
    pipeline = load_pipeline(write(text))
    with pytest.raises(PipelineInvalid) as caught:
        pipeline_tasks(pipeline, registry)
    told = [str(fault).partition("\n")[0] for fault in caught.value.faults]
    assert told[0].startswith(
        "line 3: nodes.kind.kind: no hookspec declares kind 'tol' (did you mean 'tool'?); known are"
    )
    assert told[1].startswith("line 6: nodes.hook.hook: kind 'tool' has no hook 'exekute' (did you mean 'execute'?)")
    assert told[2].startswith("line 8: nodes.plugin.plugin: kind 'tool' has no plugin 'eco' (did you mean 'echo'?)")
    assert told[3] == "line 9: nodes.unnamed.hook: tool.execute is called by a plugin's name: add plugin: …"
    assert told[4] == "line 13: nodes.payload.payload: chunker.chunk: the input is not valid"
    assert len(told) == 5


def test_errors_of_results_are_of_the_graphs_own_kind() -> None:
    with pytest.raises(DagError):
        filled("${a.b}", {"a": {}})
