"""A pipeline's file becomes a ``Pipeline``: every fault at once, each with its line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import attrs
import jsonschema_rs

from dagstack_plugins.dag.errors import GraphCycle, GraphInvalid
from dagstack_plugins.dag.gates import ApprovalGate
from dagstack_plugins.dag.graph import DAG
from dagstack_plugins.dag.pipeline.references import NAME, Reference, references
from dagstack_plugins.errors import Fault
from dagstack_plugins.kinds.yamldoc import YamlDocument, read_yaml
from dagstack_plugins.schemafaults import expected, sentence
from dagstack_plugins.wording import dotted, nearest, shown

OWN: Final = "pipeline"
"""What references call the pipeline itself; no node's name."""
_CIRCLES: Final = 20
"""Circles of nodes that are told of."""
_SETTINGS: Final = ("max_workers", "fail_fast", "timeout", "retries")

_Path = tuple[str | int, ...]


class PipelineInvalid(GraphInvalid):
    """A pipeline that can't be read, or doesn't fit the plugins that are there; ``.file``, ``.faults``.

    Args:
        file: the file.
        faults: everything that was found wrong.
    """

    def __init__(self, file: Path, faults: Sequence[Fault]) -> None:
        ordered = sorted(faults, key=lambda fault: fault.line or 0)
        super().__init__(f"pipeline {file} is not valid:", faults=ordered)
        self.file = str(file)


@attrs.frozen
class Step:
    """One node.

    Attributes:
        name: its name.
        kind: the kind whose hook is called; ``None``: nothing is called, it is a gate alone.
        hook: that hook.
        plugin: the plugin; ``None``: by the hook's dispatch class.
        payload: what the hook gets, references included.
        needs: the nodes that it waits for.
        gate: where it waits for a person.
        description: what it is for.
    """

    name: str
    kind: str | None = None
    hook: str | None = None
    plugin: str | None = None
    payload: Mapping[str, Any] = attrs.Factory(dict)
    needs: tuple[str, ...] = ()
    gate: ApprovalGate | None = None
    description: str = ""


@attrs.frozen
class Pipeline:
    """A graph whose nodes are hooks of plugins.

    Attributes:
        file: where it was read from.
        name: its name.
        description: what it is for.
        steps: the nodes, by name, in the order of the file.
        settings: arguments for ``DAGExecutor``, as far as the file has them.
        document: the file's lines.
    """

    file: Path
    name: str
    description: str
    steps: Mapping[str, Step]
    settings: Mapping[str, Any]
    document: YamlDocument = attrs.field(repr=False)

    def dag(self) -> DAG:
        """The graph."""
        dag = DAG()
        for step in self.steps.values():
            gate = None if step.gate is None else attrs.asdict(step.gate)
            told = {"description": step.description, "kind": step.kind, "hook": step.hook, "plugin": step.plugin}
            dag.add_node(step.name, **{key: value for key, value in {**told, "gate": gate}.items() if value})
        for step in self.steps.values():
            for needed in step.needs:
                dag.add_edge(needed, step.name)
        return dag

    def gates(self) -> dict[str, ApprovalGate]:
        """The gates of nodes, by their names."""
        return {step.name: step.gate for step in self.steps.values() if step.gate is not None}


def load_pipeline(file: str | Path) -> Pipeline:
    """Read and check a pipeline.

    Args:
        file: a YAML file.

    Raises:
        PipelineInvalid: with every fault.
    """
    path = Path(file)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PipelineInvalid(path, [Fault("", f"not UTF-8: {error.reason} at byte {error.start}")]) from None
    except OSError as error:
        raise PipelineInvalid(path, [Fault("", f"it cannot be read: {error.strerror}")]) from None
    return _Reader(path, text).pipeline()


@cache
def pipeline_schema() -> dict[str, Any]:
    """The shape of a pipeline, as a JSON Schema (2020-12)."""
    schema: dict[str, Any] = json.loads(Path(__file__).with_name("pipeline.schema.json").read_text("utf-8"))
    return schema


@cache
def _shape() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(pipeline_schema())


class _Reader:
    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._document = read_yaml(text)
        self._faults = [_with_hint(fault, text.splitlines()) for fault in self._document.faults]

    def pipeline(self) -> Pipeline:
        data = self._document.data
        if data is None and not self._faults:
            self._faults.append(Fault("", "it is empty; a pipeline has a name and nodes"))
        if data is not None:
            self._check_shape(data)
        # What has the wrong shape was told of; everything else is looked at all the same.
        table = data if isinstance(data, dict) else {}
        nodes = table.get("nodes")
        if nodes == {}:
            self._complain(("nodes",), "there are none")
        steps = dict(self._steps(nodes)) if isinstance(nodes, dict) else {}
        self._check_order(steps)
        if self._faults:
            raise PipelineInvalid(self._file, self._faults)
        description = table.get("description", "")
        settings = dict(_settings(table))
        return Pipeline(self._file, table["pipeline"], description, steps, settings, self._document)

    def _complain(self, path: _Path, message: str) -> None:
        fault = Fault(dotted(path, ""), message, self._document.line(path))
        if fault not in self._faults:
            self._faults.append(fault)

    def _check_shape(self, data: Any) -> None:
        for error in _shape().iter_errors(data):
            path = tuple(error.instance_path)
            if error.kind.name == "additionalProperties":
                unexpected = error.kind.as_dict()["unexpected"]
                known = _fields_at(path)
                for key in unexpected:
                    self._complain(
                        (*path, key), f"there is no such field{nearest(key, known)}; the fields: {', '.join(known)}"
                    )
                continue
            if error.kind.name in ("minimum", "exclusiveMinimum"):
                self._complain(path, f"expected {expected(error)}, found {shown(error.instance)}")
                continue
            self._complain(path, sentence(error) + _slip(path, error.instance))

    def _steps(self, nodes: Mapping[str, Any]) -> Iterator[tuple[str, Step]]:
        for name, given in nodes.items():
            path = ("nodes", name)
            if not NAME.fullmatch(name):
                self._complain(
                    path, f"{shown(name)} is no name: it has letters, digits, _ and -, and begins with a letter or _"
                )
            elif name == OWN:
                self._complain(path, f"a node is not called {OWN!r}, as references mean the pipeline itself by that")
            if isinstance(given, dict):
                self._check_call(path, given)
                yield name, self._step(name, given, nodes)
            else:
                yield name, Step(name)

    def _check_call(self, path: _Path, given: Mapping[str, Any]) -> None:
        called = [key for key in ("kind", "hook", "plugin", "payload") if key in given]
        missing = [repr(key) for key in ("kind", "hook") if key not in given]
        if called and missing:
            self._complain((*path, called[0]), f"{called[0]!r} is nothing without {' and '.join(missing)}")
        if not called and "gate" not in given:
            self._complain(path, "it does nothing: a node has a kind and a hook, or a gate, or all of them")
        if given.get("gate") is False:
            self._complain((*path, "gate"), "a gate is true, or more about it; for none, leave the field out")

    def _step(self, name: str, given: Mapping[str, Any], nodes: Mapping[str, Any]) -> Step:
        payload = given.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        needs = dict.fromkeys((*self._after(name, given, nodes), *self._referred(name, payload, nodes)))
        text = {key: value for key in ("kind", "hook", "plugin") if isinstance(value := given.get(key), str)}
        return Step(
            name,
            payload=payload,
            needs=tuple(needs),
            gate=self._gate(given.get("gate")),
            description=given.get("description") or "",
            **text,
        )

    def _after(self, name: str, given: Mapping[str, Any], nodes: Mapping[str, Any]) -> Iterator[str]:
        after = given.get("after")
        for place, other in enumerate(after if isinstance(after, list) else ()):
            if isinstance(other, str) and self._is_other(("nodes", name, "after", place), name, other, nodes):
                yield other

    def _referred(self, name: str, payload: Mapping[str, Any], nodes: Mapping[str, Any]) -> Iterator[str]:
        for path, reference in references(payload):
            where = ("nodes", name, "payload", *path)
            if isinstance(reference, ValueError):
                self._complain(where, str(reference))
            elif reference.node == OWN:
                self._check_own(where, reference)
            elif self._is_other(where, name, reference.node, nodes):
                yield reference.node

    def _check_own(self, where: _Path, reference: Reference) -> None:
        if reference.path not in (("folder",), ("name",)):
            self._complain(where, f"{reference} is unknown: there are ${{{OWN}.folder}} and ${{{OWN}.name}}")

    def _is_other(self, where: _Path, name: str, other: str, nodes: Mapping[str, Any]) -> bool:
        if other not in nodes:
            self._complain(where, f"there is no node {other!r}{nearest(other, nodes)}")
            return False
        if other == name:
            self._complain(where, f"node {name!r} would wait for itself")
            return False
        return True

    def _gate(self, given: Any) -> ApprovalGate | None:
        if given is True:
            return ApprovalGate()
        if not isinstance(given, dict):
            return None
        try:
            return ApprovalGate(given.get("timeout"), given.get("auto_approve", False))
        except ValueError:  # the schema has told of it
            return ApprovalGate()

    def _check_order(self, steps: Mapping[str, Step]) -> None:
        dag = DAG()
        dag.graph.add_nodes_from(steps)  # their names may be faulty, which was told of
        dag.graph.add_edges_from((needed, step.name) for step in steps.values() for needed in step.needs)
        for _ in range(_CIRCLES):
            try:
                dag.check()
                return
            except GraphCycle as error:
                self._complain(("nodes", error.cycle[0]), str(error))
                dag.graph.remove_edge(*error.cycle[:2])


def _settings(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in _SETTINGS:
        value = data.get(key)
        if value is not None:  # 2.0 is an integer for JSON Schema
            yield key, int(value) if isinstance(value, float) and value.is_integer() else value


def _slip(path: _Path, found: Any) -> str:
    return f"; write [{found}]" if path[-1:] == ("after",) and isinstance(found, str) else ""


def _with_hint(fault: Fault, lines: Sequence[str]) -> Fault:
    """YAML takes the brace of an unquoted reference for one of its own."""
    near = "".join(lines[max(0, (fault.line or 1) - 2) : fault.line or 0])
    if not fault.message.startswith("not YAML") or "${" not in near:
        return fault
    return attrs.evolve(fault, message=f'{fault.message}; within {{…}} and […], put "${{…}}" in quotes')


def _fields_at(path: _Path) -> list[str]:
    schema = pipeline_schema()
    if len(path) == 0:
        return list(schema["properties"])
    node = schema["$defs"]["node"]["properties"]
    return list(node["gate"]["properties"] if path[-1] == "gate" and len(path) == 3 else node)
