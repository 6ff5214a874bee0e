"""What crosses between a host and an MCP server beside MCP itself: names of fields, errors, values that are no objects.

Servers in other languages follow it, too; ``docs/remote.md`` tells of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from dagstack_plugins.calls import STOP_CHAIN
from dagstack_plugins.errors import Fault, PayloadInvalid, PluginError
from dagstack_plugins.kinds.model import Hook

if TYPE_CHECKING:
    from mcp_types import CallToolResult

RESULT: Final = "result"
"""The key under which a value travels that is no object, as structured content must be one."""
METADATA: Final = "dagstack/metadata"
"""In ``_meta`` of a call: the metadata that the caller bound."""
ERROR: Final = "dagstack/error"
"""In ``_meta`` of a failed result: ``type``, ``message`` and ``traceback`` of the error."""
STOP: Final = "dagstack/stop"
"""In ``_meta`` of a result that ends the chain: ``"value"`` with it, ``"before"`` with the value that was there."""
TRACE: Final = ("traceparent", "tracestate", "baggage")
"""Names of metadata that travel as W3C trace context, where tracing looks for it."""


def meta_of(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """``_meta`` of a call."""
    if not metadata:
        return None
    traced = {name: metadata[name] for name in TRACE if isinstance(metadata.get(name), str)}
    return {METADATA: dict(metadata), **traced}


@attrs.frozen
class Expected:
    """What a hook's outputs are, as far as that says how they travel.

    Attributes:
        is_object: objects, which travel as they are.
        is_text: texts.
    """

    is_object: bool
    is_text: bool

    @classmethod
    def of(cls, hook: Hook) -> Expected:
        """What a hook's schema says."""
        body = hook.output_schema.body if hook.output_schema is not None else None
        declared = body.get("type") if isinstance(body, dict) else None
        return cls(declared == "object", declared == "string")


def value_of(answer: CallToolResult, expected: Expected) -> Any:
    """The value of an answer.

    Args:
        answer: one that is no failure.
        expected: what the hook's outputs are.
    """
    stop = (answer.meta or {}).get(STOP)
    if stop == "before":
        return STOP_CHAIN
    value = _value(answer, expected)
    return STOP_CHAIN.with_value(value) if stop == "value" else value


def _value(answer: CallToolResult, expected: Expected) -> Any:
    content = answer.structured_content
    if content is not None:
        wrapped = not expected.is_object and isinstance(content, dict) and content.keys() == {RESULT}
        return content[RESULT] if wrapped else content
    if not answer.content:
        return None
    text = _text(answer)  # of a server that has no structured answers
    if expected.is_text:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def error_of(answer: CallToolResult, whose: str, known: Mapping[str, str | None]) -> PluginError | PayloadInvalid:
    """The error of an answer that is a failure.

    Args:
        answer: the answer.
        whose: the plugin, for messages.
        known: kind, plugin and hook.
    """
    told = (answer.meta or {}).get(ERROR)
    if not isinstance(told, dict):
        told = {"message": _text(answer) or "it says nothing more"}
    if (invalid := _invalid(told, known)) is not None:
        return invalid
    kind, trace = told.get("type"), told.get("traceback")
    what = f"{kind}: {told.get('message')}" if kind else str(told.get("message"))
    error = PluginError(
        f"{whose} failed: {what}",
        error_type=str(kind) if kind else None,
        remote_traceback=str(trace) if trace else None,
        **known,
    )
    if error.remote_traceback:
        error.add_note(f"there:\n{error.remote_traceback}")
    return error


def _invalid(told: Mapping[str, Any], known: Mapping[str, str | None]) -> PayloadInvalid | None:
    """A payload of this very call that was refused there, as a Python plugin's own process tells of it."""
    mine = (known["kind"], known["hook"])
    if (told.get("kind"), told.get("hook")) != mine or told.get("plugin") not in (None, known["plugin"]):
        return None
    given = told.get("faults")
    pairs = [pair for pair in given if isinstance(pair, list) and len(pair) == 2] if isinstance(given, list) else []
    faults = [Fault(str(path), str(message)) for path, message in pairs]
    if told.get("type") != "PayloadInvalid" or not faults:
        return None
    side = "output" if told.get("side") == "output" else "input"
    return PayloadInvalid(str(told.get("message")), side=side, path=faults[0].path, faults=faults, **known)


def _text(answer: CallToolResult) -> str:
    return "".join(part.text for part in answer.content if part.type == "text")
