"""Where kinds are looked for, and ``dagstack-plugins kinds``."""

from __future__ import annotations

import json
from typing import Any

import pytest

GREETER = "class Greeter:\n    def greet(self, name): return {}\n"
GREET = {
    "greet": {
        "description": "Say hello.",
        "input_schema": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "whom"},
                "title": {"type": ["string", "null"], "default": None},
                "mood": {"enum": ["good", "bad"]},
            },
            "required": ["name"],
        },
        "output_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    },
    "leave": {"dispatch": "broadcast_collect", "error_policy": "best_effort", "async": True},
}


def states(project: Any, *arguments: Any) -> list[str]:
    return [one["state"] for one in project.run("list", "--json", *arguments).json["plugins"]]


@pytest.mark.parametrize("at", ["kinds", "hookspecs", "plugins/kinds", "plugins/here/hookspecs"])
def test_the_nearest_folder_of_kinds_is_found(project: Any, at: str) -> None:
    project.kind("greeter", {"greet": {}}, at=at)
    project.plugin("polite", GREETER, at="here/polite", kind="greeter")
    assert states(project, "plugins/here") == ["registered"]


def test_only_folders_that_hold_hookspecs_count(project: Any) -> None:
    project.kind("greeter", {"greet": {}}, at="hookspecs")
    project.file("plugins/kinds/greeter/notes.yaml", "kind: greeter")
    project.file("kinds/v1.yaml", "of: someone else")
    project.plugin("polite", GREETER, kind="greeter")
    done = project.run("check", "plugins")
    assert (done.status, done.err) == (0, "")


def test_the_search_ends_at_the_top_of_the_repository(project: Any) -> None:
    project.kind("greeter", {"greet": {}})
    project.plugin("polite", GREETER, kind="greeter", at="inner/polite")
    (project.plugins / "inner" / ".git").mkdir()
    assert states(project, "plugins/inner") == ["unavailable"]
    assert states(project, "plugins/inner", "--hookspecs", "kinds") == ["registered"]


def test_the_search_ends_at_home(project: Any) -> None:
    project.kind("greeter", {"greet": {}})
    project.plugin("polite", GREETER, kind="greeter")
    done = project.run("list", "--json", "plugins", HOME=str(project.plugins), USERPROFILE=str(project.plugins))
    assert [one["error"] for one in done.json["plugins"]] == ["KindUnknown"]


@pytest.mark.parametrize("path", ["spec", "spec/greeter", "spec/greeter/v1.yaml"])
def test_hookspecs_are_named_in_three_ways(project: Any, path: str) -> None:
    project.kind("greeter", {"greet": {}}, at="spec")
    project.plugin("polite", GREETER, kind="greeter")
    assert states(project, "plugins", "--hookspecs", path) == ["registered"]


def test_a_faulty_hookspec_is_told_and_stops_no_other(project: Any) -> None:
    project.kind("greeter", {"greet": {}})
    project.kind("broken", {"Shout": {}})
    project.plugin("polite", GREETER, kind="greeter")
    done = project.run("list", "plugins", "--json")
    assert [one["state"] for one in done.json["plugins"]] == ["registered"]
    assert done.status == 1
    assert "Shout" in done.err


def test_kinds_lists_built_in_and_found_ones(project: Any) -> None:
    project.kind("greeter", GREET)
    done = project.run("kinds")
    rows = [line.split() for line in done.out.splitlines()]
    assert ["greeter", "1.0.0", "greet", "singleton"] in rows
    assert ["leave", "broadcast_collect"] in rows
    assert ["kinds:", "greeter"] in rows
    assert {"tool", "orchestrator", "chunker", "dag_listener", "horizontal_middleware"} < {
        row[0] for row in rows if row
    }
    assert (done.status, done.err) == (0, "")


def test_kinds_as_json(project: Any) -> None:
    file = project.kind("greeter", GREET)
    kinds = project.run("kinds", "--json").json["kinds"]
    assert [kind["name"] for kind in kinds] == sorted(kind["name"] for kind in kinds)
    found = {kind["name"]: kind for kind in kinds}
    assert found["tool"]["built_in"]
    assert not found["greeter"]["built_in"]
    assert found["greeter"]["file"] == str(file)
    greet, leave = found["greeter"]["hooks"]
    assert greet["properties"] == [
        {"name": "name", "type": "string", "required": True, "description": "whom"},
        {"name": "title", "type": "string | null", "required": False, "description": "", "default": None},
        {"name": "mood", "type": '"good" | "bad"', "required": False, "description": ""},
    ]
    assert greet["output_schema"] == GREET["greet"]["output_schema"]
    assert (leave["dispatch"], leave["error_policy"], leave["async"], leave["required"]) == (
        "broadcast_collect",
        "best_effort",
        True,
        False,
    )
    assert project.run("kinds", "greeter", "--json").json == found["greeter"]


def test_a_kind_is_described(project: Any) -> None:
    project.kind("greeter", GREET, description="Greets [bold]people[/bold].")
    out = project.run("kinds", "greeter").out
    assert "Greets [bold]people[/bold]." in out
    order = ["greeter 1.0.0", "greet  singleton, required", "settled by the plugins", "required; whom"]
    order += ["default null", '"good" | "bad"', "text", "leave  broadcast_collect, optional", "async", "best_effort"]
    order += ["any object", "anything"]
    places = [out.index(word) for word in order]
    assert places == sorted(places)


def test_properties_come_through_references(project: Any) -> None:
    base = {"type": "object", "properties": {"source": {"$ref": "#/$defs/text"}}, "required": ["source"]}
    base["$defs"] = {"text": {"type": "string", "description": "any text"}}
    project.file("kinds/reader/schemas/base.json", json.dumps(base))
    extended = {"allOf": [{"$ref": "schemas/base.json"}], "properties": {"depth": {"type": "integer", "default": 1}}}
    project.kind("reader", {"read": {"input_schema": {"type": "object", **extended}}})
    (read,) = project.run("kinds", "reader", "--json").json["hooks"]
    assert [(one["name"], one["type"], one["required"]) for one in read["properties"]] == [
        ("source", "string", True),
        ("depth", "integer", False),
    ]
    assert read["properties"][0]["description"] == "any text"


def test_schemas_that_contain_themselves_are_described(project: Any) -> None:
    node = {
        "type": "object",
        "properties": {"inner": {"$ref": "#"}, "others": {"type": "array", "items": {"$ref": "#"}}},
    }
    project.file("kinds/tree/node.json", json.dumps({**node, "allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": node}}))
    project.kind("tree", {"walk": {"input_schema": "node.json"}})
    (walk,) = project.run("kinds", "tree", "--json").json["hooks"]
    assert [(one["name"], one["type"]) for one in walk["properties"]] == [
        ("inner", "object"),
        ("others", "array of itself"),
    ]


def test_an_unknown_kind_is_told_with_the_known_ones(project: Any) -> None:
    done = project.run("kinds", "chunkr")
    assert (done.status, done.out) == (1, "")
    assert "did you mean 'chunker'?" in done.err
    assert "--hookspecs" in done.err
