"""``dagstack-plugins kind diff``."""

from __future__ import annotations

from typing import Any

import pytest

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}


@pytest.fixture
def made(project: Any) -> Any:
    project.kind("greeter", {"greet": {"input_schema": TEXT}}, at="old", kind_api_version="1.0.0")
    return project


def test_a_change_that_the_version_tells_of(made: Any) -> None:
    more = {"type": "object", "properties": {**TEXT["properties"], "loud": {"type": "boolean"}}}  # type: ignore[dict-item]
    made.kind("greeter", {"greet": {"input_schema": more}}, kind_api_version="1.1.0")
    done = made.run("kind", "diff", "old/greeter/v1.yaml", "kinds/greeter/v1.yaml")
    assert (done.status, done.err) == (0, "")
    assert done.out == "minor  greet input $.loud is a new optional property\nok: a minor change, 1.0.0 to 1.1.0\n"


def test_one_that_it_does_not(made: Any) -> None:
    made.kind("greeter", {"welcome": {"input_schema": TEXT}}, kind_api_version="1.1.0")
    done = made.run("kind", "diff", "old/greeter/v1.yaml", "kinds/greeter/v1.yaml")
    assert done.status == 1
    assert done.out.splitlines() == [
        "major  greet is gone",
        "major  welcome is a new hook, which each plugin must have",
        "a major change: kind_api_version must be 2.0.0 or later, found 1.1.0",
    ]
    told = made.run("kind", "diff", "--json", "old/greeter/v1.yaml", "kinds/greeter/v1.yaml").json
    assert (told["ok"], told["needed"], told["least"]) == (False, "major", "2.0.0")
    assert told["changes"][0] == {"level": "major", "where": "greet", "told": "is gone"}


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("old/greeter/v1.yaml", "old/greeter/v1.yaml"), 0, ""),
        (("old/greeter/v1.yaml", "other/other/v1.yaml"), 1, "these are two kinds: 'greeter' and 'other'"),
        (("old/greeter/v1.yaml", "faulty.yaml"), 1, "not YAML"),
        (("old/greeter/v1.yaml",), 2, "Missing argument 'NEW.yaml'"),
        (("old/greeter/v1.yaml", "missing.yaml"), 2, "does not exist"),
    ],
)
def test_command_lines(made: Any, arguments: tuple[str, ...], status: int, told: str) -> None:
    made.kind("other", {"go": {}}, at="other")
    made.file("faulty.yaml", "kind: [")
    done = made.run("kind", "diff", *arguments)
    assert done.status == status
    assert told in done.err
