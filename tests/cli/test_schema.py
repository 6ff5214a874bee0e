"""``dagstack-plugins schema``: what editors get says the same as what the package checks."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import tomli
import yaml

from dagstack_plugins.cli.schema import for_editors
from dagstack_plugins.kinds.hookspec import hookspec_schema
from dagstack_plugins.lock import lock_schema
from dagstack_plugins.manifest import manifest_schema

ROOT = Path(__file__).parents[2]
SCHEMAS = {"manifest": manifest_schema, "hookspec": hookspec_schema, "lock": lock_schema}
LOCK = {"lock_version": 1, "plugin": [{"kind": "tool", "name": "echo", "content_hash": "sha256:" + "0" * 64}]}
EVERYTHING = {
    "name": "a",
    "kind": "tool",
    "core_version": ">=0",
    "runtime": ["in_process", "mcp_stdio"],
    "depends_on": ["b", {"kind": "tool", "name": "c"}],
    "startup_timeout_sec": 1,
    "max_concurrency": 2,
    "priority": 3,
    "resources": {"required": ["clock"]},
    "unit_of_work": {"declared": True, "idempotency_mode": "input_hash"},
    "mcp_stdio": {"command": ["x"], "max_restarts": 1},
    "mcp_http": {"url": "https://example.org"},
    "contract": {"excused": {"resources": "why"}, "examples": {"go": [{}]}},
}
DOCUMENTS = {
    "manifest": [
        {"plugin": EVERYTHING},
        *(tomli.loads(file.read_text("utf-8")) for file in ROOT.glob("examples/**/dagstack.toml")),
    ],
    "hookspec": [yaml.safe_load(file.read_text("utf-8")) for file in ROOT.glob("hookspecs/*/v*.yaml")],
    "lock": [LOCK],
}


def changes(document: Any) -> Iterator[Any]:
    """The document with one thing in it taken away, or made something else."""
    for path in list(paths(document)):
        for change in (None, "", 0, -1, True, [], {}, ["x", "x"], {"x": 1}, "no such thing"):
            made = copy.deepcopy(document)
            *above, last = path
            at = made
            for step in above:
                at = at[step]
            at[last] = change
            yield made
            del at[last]
            yield made


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*above, key)
        yield from paths(value[key], (*above, key))


@pytest.mark.parametrize("name", SCHEMAS)
def test_both_forms_admit_the_same(name: str) -> None:
    ours = jsonschema_rs.Draft202012Validator(SCHEMAS[name]())
    theirs = jsonschema_rs.Draft4Validator(for_editors(SCHEMAS[name]()))
    judged = set()
    for document in DOCUMENTS[name]:
        assert theirs.is_valid(document)
        for changed in changes(document):
            good = ours.is_valid(changed)
            judged.add(good)
            assert theirs.is_valid(changed) == good, changed
    assert judged == {True, False}


def undescribed(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(schema, list):
        for item in schema:
            yield from undescribed(item, path)
    elif isinstance(schema, dict):
        for name, part in schema.get("properties", {}).items():
            if isinstance(part, dict) and not part.get("description"):
                yield (*path, name)
        for key, part in schema.items():
            yield from undescribed(part, (*path, key))


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("form", [for_editors, lambda schema: schema], ids=["editors", "ours"])
def test_every_field_is_described(name: str, form: Callable[..., Any]) -> None:
    assert list(undescribed(form(SCHEMAS[name]()))) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_command_prints_it(project: Any, name: str) -> None:
    done = project.run("schema", name)
    assert (done.status, done.err) == (0, "")
    assert done.json == for_editors(SCHEMAS[name]())
    assert json.loads(done.out)["$schema"] == "http://json-schema.org/draft-04/schema#"


def test_a_file_that_has_no_schema(project: Any) -> None:
    done = project.run("schema", "manifst")
    assert (done.status, "'manifst' is not one of" in done.err) == (2, True)
