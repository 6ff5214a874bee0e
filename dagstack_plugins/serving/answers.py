"""What a plugin answered, or how it failed, as the result of a tool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import mcp_types as types

from dagstack_plugins.calls import StopChain
from dagstack_plugins.errors import Fault, PayloadInvalid
from dagstack_plugins.kinds.codec import HookCodec
from dagstack_plugins.kinds.jsonvalues import to_json
from dagstack_plugins.runtimes.mcp.limits import DEEPEST, INSTEAD, LIMIT, is_too_deep
from dagstack_plugins.runtimes.mcp.results import ERROR, METADATA, RESULT, STOP, WRAPPED, Expected
from dagstack_plugins.runtimes.told import told_of
from dagstack_plugins.wording import said

_ROOM = 4096
"""Bytes that are left for what goes round a result."""


def answered(value: Any, expected: Expected, codec: HookCodec, plugin: str) -> types.CallToolResult:
    """The result of a call.

    Args:
        value: what the hook returned.
        expected: what the hook's outputs are.
        codec: the hook's border.
        plugin: the plugin's name.

    Raises:
        PayloadInvalid: if it has no form in JSON, or a long one.
    """
    meta: dict[str, Any] | None = None
    if type(value) is StopChain:
        meta = {STOP: "value" if value.has_value else "before"}
        value = value.value if value.has_value else {}
    try:
        found = to_json(value)
    except Exception as error:  # reading it may be the plugin's code
        codec.refuse_result(error, plugin)
    if not isinstance(found, dict) or (expected.is_declared and not expected.is_object):
        found = {RESULT: found}
        meta = {**(meta or {}), WRAPPED: True}
    if is_too_deep(found):
        told = f"is nested too deeply: {DEEPEST} levels go to another process"
        codec.refuse("output", [Fault("$", told)], plugin)
    text = json.dumps(found, ensure_ascii=False)
    if (length := len(text.encode("utf-8", "replace"))) > LIMIT - _ROOM:
        told = f"takes {length} bytes as JSON, and at most {LIMIT} go to another process; {INSTEAD}"
        codec.refuse("output", [Fault("$", told)], plugin)
    # In words as well, for those who know nothing of structured answers; long ones would take twice the room.
    words: list[types.ContentBlock] = [types.TextContent(type="text", text=text)] if len(text) <= _ROOM else []
    return types.CallToolResult(content=words, structured_content=found, _meta=meta)


def metadata_of(params: types.CallToolRequestParams) -> Mapping[str, Any]:
    """The metadata that the caller of a tool bound."""
    found = (params.meta or {}).get(METADATA)
    return found if isinstance(found, dict) else {}


def failed(error: BaseException, *, trace: bool = True) -> types.CallToolResult:
    """The result of a call that failed.

    Args:
        error: what it raised.
        trace: whether its traceback is told.
    """
    told = told_of(error)
    message = said(error) or told["type"]
    found: dict[str, Any] = {"type": told["type"], "message": message}
    if trace:
        found["traceback"] = told["traceback"]
    if isinstance(error, PayloadInvalid):
        found |= {"side": error.side, "faults": [[fault.path, fault.message] for fault in error.faults]}
        found |= {"kind": error.kind, "hook": error.hook, "plugin": error.plugin}
    words: list[types.ContentBlock] = [types.TextContent(type="text", text=f"{told['type']}: {message}")]
    return types.CallToolResult(content=words, is_error=True, _meta={ERROR: found})
