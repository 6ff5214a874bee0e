"""What a hookspec declares, as data: ``Kind`` and ``Hook``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs

from dagstack_plugins.kinds.schemas import Schema, SchemaFiles


class Dispatch(StrEnum):
    """How many plugins answer a hook, and what the caller gets."""

    SINGLETON = "singleton"
    BROADCAST_COLLECT = "broadcast_collect"
    BROADCAST_NOTIFY = "broadcast_notify"
    CHAIN = "chain"
    CAPABILITY = "capability"

    @property
    def is_broadcast(self) -> bool:
        """Whether the hook goes to everyone who has it; nobody is then a fine answer."""
        return self in {Dispatch.BROADCAST_COLLECT, Dispatch.BROADCAST_NOTIFY}


@attrs.frozen(kw_only=True)
class Hook:
    """One named operation of a kind.

    Attributes:
        name: its name, ``snake_case``.
        dispatch: its dispatch class.
        description: what it is for.
        input_schema: what its payload must be; ``None`` admits any object.
        output_schema: what its result must be; ``None`` hands results back as they are.
        is_async: its colour; ``None`` leaves it to the plugins.
        required: whether each plugin of the kind must have it.
        named: for singleton: the caller names the plugin (``selection: named``).
        best_effort: for broadcast_collect: failures are collected, not raised.
        input_schema_hook: the hook with which a plugin may tell a schema of its own for inputs.
        match: for capability: payload property to the manifest field that lists a plugin's values.
        mcp_exposed: whether plugins in other processes offer it.
        mcp_tool_name_template: the name of its MCP tool, of ``{kind}``, ``{plugin}`` and ``{hook}``.
    """

    name: str
    dispatch: Dispatch
    description: str = ""
    input_schema: Schema | None = None
    output_schema: Schema | None = None
    is_async: bool | None = None
    required: bool = True
    named: bool = False
    best_effort: bool = False
    input_schema_hook: str | None = None
    match: Mapping[str, str] = attrs.field(factory=dict)
    mcp_exposed: bool = True
    mcp_tool_name_template: str = "{kind}.{plugin}.{hook}"


@attrs.frozen(kw_only=True)
class Kind:
    """A contract: the hooks that a plugin of this kind offers.

    Attributes:
        name: ``snake_case``.
        version: ``major.minor.patch``.
        description: what plugins of this kind do.
        hooks: by name, in the order of the hookspec.
        in_process_only: its plugins run in the host's process.
        singleton_per_runtime: one plugin of it runs at a time.
        file: the hookspec's file, if it came from one.
        declared: the declaration as it was written, as plain JSON.
        content: the whole declaration, schemas read in, as plain JSON.
        schemas: the schema files beside it.
    """

    name: str
    version: str
    description: str = ""
    hooks: Mapping[str, Hook]
    in_process_only: bool = False
    singleton_per_runtime: bool = False
    file: Path | None = None
    declared: Mapping[str, Any] = attrs.field(repr=False)
    content: Mapping[str, Any] = attrs.field(repr=False)
    schemas: SchemaFiles = attrs.field(repr=False)

    def same_as(self, other: Kind) -> bool:
        """Whether another declaration says the same, in the same order: arguments bind in that of properties."""
        return self is other or json.dumps(self.content) == json.dumps(other.content)

    @property
    def address(self) -> str:
        """Its name and major version, ``payment_provider@2``: what tells it from another major of the same name."""
        return f"{self.name}@{self.major}"

    @property
    def major(self) -> int:
        """The major version: what a manifest's ``kind_api_version`` must agree with."""
        return int(self.version.split(".")[0])

    @property
    def minor(self) -> int:
        """The minor version: what a manifest's ``kind_api_version`` must not exceed."""
        return int(self.version.split(".")[1])
