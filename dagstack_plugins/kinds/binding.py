"""A method's signature decides what it is called with; settled once, when its plugin is registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import attrs

from dagstack_plugins.calls import Call
from dagstack_plugins.kinds.payload import Payload

CONTEXT_NAMES: Final = ("ctx", "context")
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class BindingFault(Exception):
    """A signature that cannot be called with the hook's payload; the message says why."""


@attrs.frozen
class Binding:
    """How one method takes a payload.

    Attributes:
        method: the plugin's bound method.
        is_async: whether calling it gives something to await.
        context: the name of the parameter that takes the plugin's context.
        whole: the name of the parameter that takes the whole payload; ``None`` if properties are passed one by one.
        passed: parameter to property, in order; of these, those in ``optional`` are passed only if they are there.
        rest: whether a ``**kwargs`` takes all other properties.
        positional: parameters that can only be passed by position.
        attributes: property to attribute of the payload's class.
        call: whether the parameter ``call`` of a native pluggy implementation is passed.
    """

    method: Callable[..., Any]
    is_async: bool
    context: str | None = None
    whole: str | None = None
    passed: Mapping[str, str] = attrs.field(factory=dict)
    optional: frozenset[str] = frozenset()
    rest: bool = False
    positional: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = attrs.field(factory=dict)
    call: bool = False

    def invoker(self, context: Any, *, typed: bool, call: Call | None = None) -> Callable[[Any], Any]:
        """A function that takes a payload and calls the method.

        Args:
            context: what ``ctx`` gets.
            call: what ``call`` of a native pluggy implementation gets.
            typed: payloads are the hook's own type, not whatever the caller gave.
        """
        source = _source(self, typed=typed)
        scope = {"method": self.method, "context": context, "told": call, "named": frozenset(self.passed.values())}
        exec(_compiled(source), scope)  # made of parameter names, which are identifiers, and repr()s
        invoke: Callable[[Any], Any] = scope["invoke"]
        return invoke


def bind(method: Callable[..., Any], payload: type[Payload] | None, *, is_async: bool | None = None) -> Binding:
    """Settle how ``method`` is called.

    Args:
        method: a bound method, or any callable.
        payload: the class of the hook's payload; ``None`` if its schema declares no properties.
        is_async: whether it gives something to await; by default, whether it is a coroutine function.

    Raises:
        BindingFault: if no rule fits; it shows signature and properties.
    """
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise BindingFault("is a generator; a hook returns its whole result")
    attributes = dict(payload._attributes) if payload is not None else {}  # noqa: SLF001 - made in this room
    may_miss = payload._optional - payload._filled if payload is not None else frozenset()  # noqa: SLF001 - made in this room
    by_parameter = {
        **{name: name for name in attributes},
        **{attribute: name for name, attribute in attributes.items()},
    }
    signature = _signature(method)
    parameters = list(signature.parameters.values())
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        raise BindingFault(_told(signature, attributes, "takes *args, which payloads have no use for"))
    rest = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    plain = [parameter for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    context = next((parameter.name for parameter in plain if parameter.name in CONTEXT_NAMES), None)
    others = [parameter for parameter in plain if parameter.name != context]
    whole, passed = None, {}
    if all(parameter.name in by_parameter for parameter in others):
        passed = {parameter.name: by_parameter[parameter.name] for parameter in others}
        _check_defaults(signature, others, passed, may_miss, attributes)
    elif len(others) == 1 and not rest:
        whole = others[0].name
    else:
        strange = ", ".join(repr(parameter.name) for parameter in others if parameter.name not in by_parameter)
        raise BindingFault(
            _told(signature, attributes, f"has parameters that are no properties of the payload: {strange}")
        )
    return Binding(
        method=method,
        is_async=inspect.iscoroutinefunction(method) if is_async is None else is_async,
        context=context,
        whole=whole,
        passed=passed,
        optional=frozenset(parameter for parameter, name in passed.items() if name in may_miss),
        rest=rest,
        positional=frozenset(p.name for p in plain if p.kind is inspect.Parameter.POSITIONAL_ONLY),
        attributes=attributes,
    )


def bind_native(function: Callable[..., Any]) -> Binding:
    """Settle how a native pluggy implementation, a function of ``payload`` and ``call`` or fewer, is called.

    Args:
        function: marked with ``hookimpl``.

    Raises:
        BindingFault: if it has other parameters.
    """
    names = list(_signature(function).parameters)
    if strange := [name for name in names if name not in ("payload", "call")]:
        raise BindingFault(f"takes {', '.join(strange)}; a hookimpl takes 'payload' and 'call', or fewer of them")
    return Binding(
        method=function,
        is_async=inspect.iscoroutinefunction(function),
        whole="payload" if "payload" in names else None,
        call="call" in names,
    )


def _signature(method: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(method)
    except (TypeError, ValueError) as error:
        raise BindingFault(f"has no signature that Python can read: {error}") from None


def _check_defaults(
    signature: inspect.Signature,
    parameters: list[inspect.Parameter],
    passed: Mapping[str, str],
    may_miss: frozenset[str],
    attributes: Mapping[str, str],
) -> None:
    for parameter in parameters:
        if passed[parameter.name] not in may_miss or parameter.default is not inspect.Parameter.empty:
            continue
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise BindingFault(
                _told(signature, attributes, f"takes {parameter.name!r} by position, but it may be left out")
            )
        message = f"takes {parameter.name!r}, which a payload may leave out; give the parameter a default"
        raise BindingFault(_told(signature, attributes, message))


def _told(signature: inspect.Signature, attributes: Mapping[str, str], message: str) -> str:
    properties = ", ".join(attributes) or "none, the payload is any object"
    return (
        f"{message}\n  signature: {signature}\n  properties: {properties}\n"
        "  a method takes properties by their names, or one parameter for the whole payload, and 'ctx' where it wants it"
    )


@lru_cache(maxsize=1024)
def _compiled(source: str) -> Any:
    # Plugins of a kind mostly share their signatures; compiling costs more than everything else here.
    return compile(source, "<hook invoker>", "exec")


def _source(binding: Binding, *, typed: bool) -> str:
    arguments: list[str] = []
    before: list[str] = []
    if binding.whole is not None:
        arguments.append(_argument(binding, binding.whole, "payload"))
    elif not binding.passed and not binding.rest:
        pass
    elif not typed or (binding.rest and not binding.attributes):
        before += _by_item(binding)
        arguments.append("**given")
    else:
        before += _by_attribute(binding, arguments)
    if binding.context is not None:
        by_position = binding.context in binding.positional
        arguments.insert(_place(binding), "context") if by_position else arguments.append(f"{binding.context}=context")
    if binding.call:
        arguments.append("call=told")
    body = [*before, f"return method({', '.join(arguments)})"]
    return "def invoke(payload):\n" + "".join(f"    {line}\n" for line in body)


def _place(binding: Binding) -> int:
    """Where a positional-only context stands among the arguments."""
    return list(inspect.signature(binding.method).parameters).index(binding.context or "")


def _argument(binding: Binding, parameter: str, value: str) -> str:
    return value if parameter in binding.positional else f"{parameter}={value}"


def _by_attribute(binding: Binding, arguments: list[str]) -> list[str]:
    lines: list[str] = []
    if binding.optional or binding.rest:
        lines.append("given = {}")
    for parameter, name in binding.passed.items():
        attribute = f"payload.{binding.attributes[name]}"
        if parameter in binding.optional:
            lines += [
                f"if {attribute} is not None or {name!r} in payload._nulls:",
                f"    given[{parameter!r}] = {attribute}",
            ]
        else:
            arguments.append(_argument(binding, parameter, attribute))
    if binding.rest:
        lines += ["for key in payload:", "    if key not in named:", "        given[key] = payload[key]"]
    if lines:
        arguments.append("**given")
    return lines


def _by_item(binding: Binding) -> list[str]:
    lines = ["given = {}"]
    for parameter, name in binding.passed.items():
        lines += [f"if {name!r} in payload:", f"    given[{parameter!r}] = payload[{name!r}]"]
    if binding.rest:
        lines += ["for key in payload:", "    if key not in named:", "        given[key] = payload[key]"]
    return lines
