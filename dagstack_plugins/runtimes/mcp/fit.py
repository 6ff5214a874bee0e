"""Whether the tools of an MCP server are the hooks of a kind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import jsonschema_rs

from dagstack_plugins.kinds.compile import CompiledKind
from dagstack_plugins.kinds.inclusion import Excess, TooComplex, excess
from dagstack_plugins.kinds.model import Hook
from dagstack_plugins.kinds.schemas import Schema, SchemaFault, SchemaFiles
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.runtimes.mcp.results import RESULT, Expected
from dagstack_plugins.runtimes.mcp.tools import SETUP, TEARDOWN, exposed, own_name, tool_name
from dagstack_plugins.wording import dotted, nearest

if TYPE_CHECKING:
    from mcp_types import Tool

_FILES: Final = SchemaFiles(None)
"""References of a tool's schema lead nowhere but into itself."""
_LONGEST: Final = 256 * 1024
"""Characters of a schema."""
_SAYS_NOTHING: Final = {"type", "title", "description", "$schema"}


@attrs.frozen
class Fit:
    """What a server offers of a kind.

    Attributes:
        tools: the hooks that it has, with their tools; ``setup`` and ``teardown`` among them, if it has those.
        misfits: why it can't be used; empty if it can.
        extra: tools that are none of the kind's.
        own_inputs: for hooks whose inputs each plugin describes itself, what its tool says of them.
        wrapped: the hooks whose tools say themselves that their results are wrapped.
    """

    tools: Mapping[str, str]
    misfits: Sequence[str]
    extra: Sequence[str]
    own_inputs: Mapping[str, Any]
    wrapped: frozenset[str]


def fit(tools: Sequence[Tool], manifest: PluginManifest, compiled: CompiledKind) -> Fit:
    """Match tools and hooks.

    Args:
        tools: what the server lists.
        manifest: the plugin's.
        compiled: its kind.
    """
    kind = compiled.kind
    offered = {tool.name: tool for tool in tools}
    found: dict[str, str] = {}
    own: dict[str, Any] = {}
    wrapped: set[str] = set()
    misfits = [f"it lists the tool {name!r} twice" for name in _twice(tools)]
    for hook in exposed(kind):
        name = tool_name(hook, manifest)
        tool = offered.pop(name, None)
        if tool is not None and (long := _too_long(tool)):
            misfits.append(long)
        elif tool is not None:
            found[hook.name] = name
            if _is_wrapped(tool):
                wrapped.add(hook.name)
            if hook.input_schema_hook and not _is_open(tool.input_schema):
                own[hook.name] = tool.input_schema
            misfits += _differences(hook, tool, kind.schemas)
        elif hook.required:
            misfits.append(f"it lacks the tool {name!r}, which hook {hook.name!r} needs{nearest(name, offered)}")
    if not found and not misfits:
        names = ", ".join(tool_name(hook, manifest) for hook in exposed(kind))
        misfits.append(f"it has none of the tools {names}")
    for word in (SETUP, TEARDOWN):
        if offered.pop(name := own_name(word, kind, manifest), None) is not None:
            found[word] = name
    return Fit(found, misfits, list(offered), own, frozenset(wrapped))


def _too_long(tool: Tool) -> str:
    """What is told of a schema that would take too long to compile, while all threads wait."""
    for side, body in (("input", tool.input_schema), ("output", tool.output_schema)):
        if (length := len(json.dumps(body))) > _LONGEST:
            return f"tool {tool.name!r}, {side}: its schema has {length} characters, and at most {_LONGEST} are read"
    return ""


def _twice(tools: Sequence[Tool]) -> list[str]:
    return [name for name, times in Counter(tool.name for tool in tools).items() if times > 1]


def _differences(hook: Hook, tool: Tool, files: SchemaFiles) -> Iterator[str]:
    """Where a tool takes less than its hook's inputs, or gives more than its outputs.

    Open schemas fit: what comes is checked at each call.
    """
    ours, theirs = hook.input_schema or Schema({"type": "object"}, "kind"), _document(tool.input_schema)
    if theirs is not None and not hook.input_schema_hook:
        yield from _told(tool, "input", lambda: excess(ours, files, theirs, _FILES), theirs)
    given, taken = _output(hook, tool, files), hook.output_schema
    if given is not None and taken is not None:
        yield from _told(tool, "output", lambda: excess(given, _FILES, taken, files, lenient=True), given)


def _told(tool: Tool, side: str, find: Callable[[], Iterator[Excess]], theirs: Schema) -> Iterator[str]:
    told = f"tool {tool.name!r}, {side}"
    try:
        _FILES.validator(Schema.document(theirs.root, "tool"))
        yield from (f"{told} {dotted(path)} {what}" for path, what in find())
    except TooComplex:  # what comes is checked at each call
        return
    except (jsonschema_rs.ValidationError, SchemaFault, ValueError, RecursionError) as error:
        yield f"{told}: its schema is none: {str(error).splitlines()[0]}"


def _output(hook: Hook, tool: Tool, files: SchemaFiles) -> Schema | None:
    body = tool.output_schema
    if body is None:
        return None
    if not Expected.of(hook, files).is_object and _is_wrapped(tool):
        return Schema(body["properties"][RESULT], "tool", root=body)
    return _document(body)


def _is_wrapped(tool: Tool) -> bool:
    """Whether a tool says itself that its results are no objects, and travel in one."""
    properties = (tool.output_schema or {}).get("properties")
    return isinstance(properties, dict) and properties.keys() == {RESULT}


def _document(body: Any) -> Schema | None:
    return None if _is_open(body) else Schema.document(body, "tool")


def _is_open(body: Any) -> bool:
    """Whether a schema admits any object."""
    return not body or (body.keys() <= _SAYS_NOTHING and body.get("type", "object") == "object")
