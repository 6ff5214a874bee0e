"""A new kind: a hookspec with one hook, and its schemas."""

from __future__ import annotations

import json
import re
from keyword import iskeyword
from typing import Any, Final

import yaml

from dagstack_plugins.kinds.builtin import builtin_hookspec
from dagstack_plugins.kinds.hookspec import RESERVED
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.wording import shown

_NAME: Final = re.compile("[a-z][a-z0-9_]*")
_WHO_ANSWERS: Final = {
    Dispatch.SINGLETON: "the active plugin answers",
    Dispatch.BROADCAST_COLLECT: "all plugins that have the hook answer, and the caller gets a list",
    Dispatch.BROADCAST_NOTIFY: "all plugins that have the hook are told, and nobody answers",
    Dispatch.CHAIN: "each plugin gets what the one before it returned",
    Dispatch.CAPABILITY: "the plugin answers whose manifest lists the payload's language",
}
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final = {"type": "string", "description": "The text."}
_LANGUAGE: Final = {"type": "string", "description": "Its language, such as `en`; chooses the plugin."}


def new_kind(name: str, hook: str = "run", dispatch: Dispatch = Dispatch.SINGLETON) -> dict[str, str]:
    """The files of a new kind.

    Args:
        name: the kind's name.
        hook: its hook's name.
        dispatch: how that is dispatched.

    Returns:
        Their names below the folder of kinds, and their texts.

    Raises:
        ValueError: if a name is none for a kind or a hook.
    """
    for what, given in (("kind", name), ("hook", hook)):
        if not _NAME.fullmatch(given) or iskeyword(given):
            raise ValueError(
                f"{shown(given)} is no name for a {what}: lower-case letters, digits and underscores, a letter first"
            )
    if hook in RESERVED:
        raise ValueError(f"{hook!r} is reserved; hooks are not named {', '.join(RESERVED)}")
    if builtin_hookspec(name) is not None:
        raise ValueError(f"kind {name!r} is built in; choose another name")
    answers = dispatch is not Dispatch.BROADCAST_NOTIFY
    properties = {"text": _TEXT, **({"language": _LANGUAGE} if dispatch is Dispatch.CAPABILITY else {})}
    same = dispatch is Dispatch.CHAIN
    output = f"schemas/{hook}.{'input' if same else 'output'}.json"
    lines = [
        f"kind: {_plain(name)}",
        "kind_api_version: 1.0.0",
        "description: What plugins of this kind do.",
        "hooks:",
        f"  - name: {_plain(hook)}",
        "    description: What it does.",
        f"    dispatch: {dispatch}  # {_WHO_ANSWERS[dispatch]}",
        "    async: false  # true: callers await it",
        f"    input_schema: schemas/{hook}.input.json",
        *([f"    output_schema: {output}"] if answers else []),
        *(["    match: {language: supports_languages}"] if dispatch is Dispatch.CAPABILITY else []),
    ]
    files = {
        f"{name}/v1.yaml": "\n".join([*lines, ""]),
        f"{name}/schemas/{hook}.input.json": _schema("What the hook is called with.", properties),
    }
    if answers and not same:
        files[f"{name}/{output}"] = _schema("What it returns.", {"text": _TEXT})
    return files


def _plain(word: str) -> str:
    """A word as YAML reads it as one: some, such as ``on``, it would take for something else."""
    return word if yaml.safe_load(word) == word else f'"{word}"'


def _schema(description: str, properties: dict[str, Any]) -> str:
    schema = {
        "$schema": _DRAFT,
        "description": description,
        "type": "object",
        "required": ["text"],
        "additionalProperties": False,
        "properties": properties,
    }
    return json.dumps(schema, indent=2) + "\n"
