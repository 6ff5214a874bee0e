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
from dagstack_plugins.kinds.inclusion import target
from dagstack_plugins.kinds.model import Hook
from dagstack_plugins.kinds.schemas import SchemaFiles
from dagstack_plugins.wording import one_line

if TYPE_CHECKING:
    from mcp_types import CallToolResult

RESULT: Final = "result"
"""The key under which a value travels that is no object, as structured content must be one."""
METADATA: Final = "dagstack/metadata"
"""In ``_meta`` of a call: the metadata that the caller bound."""
ERROR: Final = "dagstack/error"
"""In ``_meta`` of a failed result: ``type``, ``message`` and ``traceback`` of the error."""
WRAPPED: Final = "dagstack/wrapped"
"""In ``_meta`` of a result: that it is wrapped, where neither the kind nor the tool says so."""
STOP: Final = "dagstack/stop"
"""In ``_meta`` of a result that ends the chain: ``"value"`` with it, ``"before"`` with the value that was there."""
_LONGEST: Final = 4000
"""Characters of an error that are told."""
_PATH: Final = 500
"""Characters of a fault, and of its path."""
_FAULTS: Final = 100
"""Faults of one answer."""
_TRACE: Final = 100_000
"""Characters of a traceback, its end."""
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
        is_declared: whether the kind says anything of them.
    """

    is_object: bool
    is_text: bool
    is_declared: bool

    @classmethod
    def of(cls, hook: Hook, files: SchemaFiles) -> Expected:
        """What a hook's schema says.

        Args:
            hook: the hook.
            files: what references in its schema lead to.
        """
        body = target(hook.output_schema, files).body if hook.output_schema is not None else None
        declared = body.get("type") if isinstance(body, dict) else None
        return cls(declared == "object", declared == "string", bool(body))


def value_of(answer: CallToolResult, expected: Expected, *, wrapped: bool = False) -> Any:
    """The value of an answer.

    Args:
        answer: one that is no failure.
        expected: what the hook's outputs are.
        wrapped: whether its tool says that results are wrapped.

    Raises:
        ValueError: if it has content, and no value.
    """
    meta = answer.meta or {}
    stop = meta.get(STOP)
    if stop == "before":
        return STOP_CHAIN
    may_be = wrapped or expected.is_declared or meta.get(WRAPPED) is True
    value = _value(answer, expected, may_be_wrapped=may_be and not expected.is_object)
    return STOP_CHAIN.with_value(value) if stop == "value" else value


def _value(answer: CallToolResult, expected: Expected, *, may_be_wrapped: bool) -> Any:
    content = answer.structured_content
    if content is not None:
        wrapped = may_be_wrapped and isinstance(content, dict) and content.keys() == {RESULT}
        return content[RESULT] if wrapped else content
    if not answer.content:
        return None
    if other := [part.type for part in answer.content if part.type != "text"]:
        raise ValueError(f"its content is of type {', '.join(dict.fromkeys(other))}; structured content holds a result")
    text = _text(answer)  # of a server that has no structured answers
    if expected.is_text:
        return text
    try:
        return json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text


def _no_json(constant: str) -> None:
    raise ValueError(constant)


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
    what = _shown(what[:_LONGEST])
    error = PluginError(
        f"{whose} failed: {what}",
        error_type=one_line(str(kind)[:_LONGEST]) if kind else None,
        remote_traceback=_shown(str(trace)[-_TRACE:]) if trace else None,
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
    faults = [Fault(_shown(str(path)[:_PATH]), _shown(str(message)[:_PATH])) for path, message in pairs[:_FAULTS]]
    if told.get("type") != "PayloadInvalid" or not faults:
        return None
    side = "output" if told.get("side") == "output" else "input"
    return PayloadInvalid(
        _shown(str(told.get("message"))[:_LONGEST]), side=side, path=faults[0].path, faults=faults, **known
    )


def _shown(text: str) -> str:
    """Text of a plugin, its lines kept, in which nothing steers a terminal."""
    return "\n".join(one_line(line) for line in text.splitlines())


def _text(answer: CallToolResult) -> str:
    return "".join(part.text for part in answer.content if part.type == "text")
