"""A method's signature decides what it is called with; settled once, when its plugin is registered."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import attrs

from dagstack_plugins.calls import Call
from dagstack_plugins.kinds.payload import Payload
from dagstack_plugins.wording import nearest

CONTEXT_NAMES: Final = ("ctx", "context")
_EMPTY: Final = inspect.Parameter.empty


class BindingFault(Exception):
    """A signature that cannot be called with the hook's payload; the message says why."""


@attrs.frozen(eq=False)
class Binding:
    """How one method takes a payload.

    Attributes:
        method: the plugin's bound method.
        is_async: whether calling it gives something to await.
        context: the name of the parameter that takes the plugin's context.
        whole: the name of the parameter that takes the whole payload; ``None`` if properties are passed one by one.
        passed: parameter to property, in order; of these, those in ``optional`` are passed only if they are there.
        rest: whether a ``**kwargs`` takes all other properties.
        positional: parameters that can only be passed by position, in order.
        defaults: those of the parameters in ``positional`` that have any.
        taken: names that a ``**kwargs`` cannot hold, as the signature has them.
        attributes: property to attribute of the payload's class.
        call: whether the parameter ``call`` of a native pluggy implementation is passed.
        direct: whether calling it with the payload alone is all there is to it.
    """

    method: Callable[..., Any]
    is_async: bool = False
    context: str | None = None
    whole: str | None = None
    passed: Mapping[str, str] = attrs.field(factory=dict)
    optional: frozenset[str] = frozenset()
    rest: bool = False
    positional: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    taken: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = attrs.field(factory=dict)
    call: bool = False
    direct: bool = False

    def invoker(self, context: Any, *, typed: bool, call: Call | None = None) -> Callable[[Any], Any]:
        """A function that takes a payload and calls the method.

        Args:
            context: what ``ctx`` gets.
            call: what ``call`` of a native pluggy implementation gets.
            typed: payloads are the hook's own type, not whatever the caller gave.
        """
        if self.direct:
            return self.method
        source = _source(self, typed=typed)
        scope = {
            "method": self.method,
            "context": context,
            "told": call,
            "named": frozenset(self.passed.values()),
            "defaults": self.defaults,
            "taken": self.taken,
        }
        return _made(source, scope)

    def caller(self, context: Any, known: Mapping[str, Any], changing: str) -> Callable[[Any], Any]:
        """A function of one property alone, where all others are known beforehand.

        Args:
            context: what ``ctx`` gets.
            known: the other properties, with their values.
            changing: the property that differs from call to call.
        """
        if self.whole is not None or self.rest or self.call:
            invoke = self.invoker(context, typed=False)
            return lambda value: invoke({**known, changing: value})
        names = {name: f"known_{place}" for place, name in enumerate(known)}
        read = {**names, changing: "value"}
        values = {parameter: read[name] for parameter, name in self.passed.items()}
        if self.context is not None:
            values[self.context] = "context"
        arguments = [values.pop(parameter) for parameter in self.positional]
        arguments += [f"{parameter}={value}" for parameter, value in values.items()]
        scope = {"method": self.method, "context": context, **{names[name]: value for name, value in known.items()}}
        return _made(f"def invoke(value):\n    return method({', '.join(arguments)})\n", scope)


def bind(method: Callable[..., Any], payload: type[Payload] | None, *, is_async: bool | None = None) -> Binding:
    """Settle how ``method`` is called.

    Args:
        method: a bound method, or any callable.
        payload: the class of the hook's payload; ``None`` if its schema declares no properties.
        is_async: whether it gives something to await; by default, whether it is a coroutine function.

    Raises:
        BindingFault: if no rule fits; it shows signature and properties.
    """
    attributes = payload._attributes if payload is not None else {}  # noqa: SLF001 - made in this room
    may_miss = payload._optional - payload._filled if payload is not None else frozenset()  # noqa: SLF001 - made in this room
    if is_async is None and (parameters := _parameters(method)) is not None:
        shared = _shared(parameters, tuple(attributes.items()), may_miss)
        if shared is not None:
            return attrs.evolve(shared, method=method)
    _refuse_generators(method)
    binding = _settled(method, _signature(method), attributes, may_miss)
    is_async = inspect.iscoroutinefunction(_code(method)) if is_async is None else is_async
    return attrs.evolve(
        binding, is_async=is_async, taken=binding.taken | _hidden(method) if binding.rest else frozenset()
    )


@functools.lru_cache(maxsize=1024)
def _shared(given: _Parameters, attributes: tuple[tuple[str, str], ...], may_miss: frozenset[str]) -> Binding | None:
    """The binding of ordinary methods, which plugins of a kind mostly share; ``None`` for what has to be told of."""
    if given.flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        return None
    try:
        binding = _settled(_nobody, _ordinary(given), dict(attributes), may_miss)
    except BindingFault:  # it is told with the method's own signature
        return None
    return attrs.evolve(
        binding,
        is_async=bool(given.flags & inspect.CO_COROUTINE),
        taken=binding.taken | {given.names[0]} if binding.rest else frozenset(),
        direct=binding.whole is not None and binding.context is None and not given.keywords,
    )


def _nobody() -> None:
    """Stands for the method, where a binding is shared."""


def _settled(
    method: Callable[..., Any], signature: inspect.Signature, attributes: Mapping[str, str], may_miss: frozenset[str]
) -> Binding:
    by_parameter = {
        **{name: name for name in attributes},
        **{attribute: name for name, attribute in attributes.items()},
    }
    parameters = list(signature.parameters.values())
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        raise BindingFault(_told(method, attributes, "takes *args, which payloads have no use for"))
    rest = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    plain = [parameter for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    context = next((parameter.name for parameter in plain if parameter.name in CONTEXT_NAMES), None)
    others = [parameter for parameter in plain if parameter.name != context]
    whole, passed = None, {}
    if all(parameter.name in by_parameter for parameter in others):
        passed = {parameter.name: by_parameter[parameter.name] for parameter in others}
        _check_defaults(method, others, passed, may_miss, attributes)
    elif len(others) == 1 and not rest:
        whole = others[0].name
    else:
        strange = [parameter.name for parameter in others if parameter.name not in by_parameter]
        free = by_parameter.keys() - {parameter.name for parameter in others}
        told = ", ".join(repr(name) + nearest(name, free) for name in strange)
        raise BindingFault(_told(method, attributes, f"has parameters that are no properties of the payload: {told}"))
    positional = [parameter for parameter in plain if parameter.kind is inspect.Parameter.POSITIONAL_ONLY]
    return Binding(
        method=method,
        context=context,
        whole=whole,
        passed=passed,
        optional=frozenset(parameter for parameter, name in passed.items() if name in may_miss),
        rest=rest,
        positional=tuple(parameter.name for parameter in positional),
        defaults={parameter.name: parameter.default for parameter in positional if parameter.default is not _EMPTY},
        taken=frozenset(parameter.name for parameter in plain),
        attributes=attributes,
    )


def bind_native(function: Callable[..., Any]) -> Binding:
    """Settle how a native pluggy implementation, a function of ``payload`` and ``call`` or fewer, is called.

    Args:
        function: marked with ``hookimpl``.

    Raises:
        BindingFault: if it has other parameters.
    """
    _refuse_generators(function)
    names = list(_signature(function).parameters)
    if strange := [name for name in names if name not in ("payload", "call")]:
        raise BindingFault(f"takes {', '.join(strange)}; a hookimpl takes 'payload' and 'call', or fewer of them")
    return Binding(
        method=function,
        is_async=inspect.iscoroutinefunction(_code(function)),
        whole="payload" if "payload" in names else None,
        call="call" in names,
    )


def _refuse_generators(method: Callable[..., Any]) -> None:
    code = _code(method)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise BindingFault("is a generator; a hook returns its whole result")


class _Parameters(NamedTuple):
    """What Python says of an ordinary method: the same for most of a kind's plugins.

    Attributes:
        names: its parameters, ``self`` first.
        positional: how many of them may be passed by position.
        keywords: how many may not.
        defaults: how many of the first have a default.
        flags: those of its code.
        optional: those that may not, and have one.
    """

    names: tuple[str, ...]
    positional: int
    keywords: int
    defaults: int
    flags: int
    optional: frozenset[str]


def _signature(method: Callable[..., Any]) -> inspect.Signature:
    """The method's signature; of an ordinary one without its annotations and the values of its defaults."""
    if (parameters := _parameters(method)) is not None:
        return _ordinary(parameters)
    try:
        return inspect.signature(method)
    except (TypeError, ValueError) as error:
        raise BindingFault(f"has no signature that Python can read: {error}") from None


def _parameters(method: Callable[..., Any]) -> _Parameters | None:
    """What Python says of an ordinary method; ``None`` for all else that can be called."""
    function = getattr(method, "__func__", None)
    if type(method) is not types.MethodType or type(function) is not types.FunctionType or function.__dict__:
        return None
    code, defaults = function.__code__, function.__defaults__ or ()
    if code.co_argcount == 0 or code.co_posonlyargcount:  # no `self`, or one whose defaults matter
        return None
    stars = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + stars.bit_count()]
    optional = frozenset(function.__kwdefaults__ or ())
    flags = code.co_flags & _FLAGS
    return _Parameters(names, code.co_argcount, code.co_kwonlyargcount, len(defaults), flags, optional)


_FLAGS: Final = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_ASYNC_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ITERABLE_COROUTINE
)


@functools.lru_cache(maxsize=1024)
def _ordinary(given: _Parameters) -> inspect.Signature:
    kind, rest = inspect.Parameter, iter(given.names[given.positional + given.keywords :])
    required = given.positional - given.defaults
    parameters = [
        kind(name, kind.POSITIONAL_OR_KEYWORD, default=_EMPTY if place < required else ...)
        for place, name in enumerate(given.names[: given.positional])
    ]
    if given.flags & inspect.CO_VARARGS:
        parameters.append(kind(next(rest), kind.VAR_POSITIONAL))
    parameters += [
        kind(name, kind.KEYWORD_ONLY, default=... if name in given.optional else _EMPTY)
        for name in given.names[given.positional : given.positional + given.keywords]
    ]
    if given.flags & inspect.CO_VARKEYWORDS:
        parameters.append(kind(next(rest), kind.VAR_KEYWORD))
    return inspect.Signature(parameters[1:])


def _code(method: Callable[..., Any]) -> Callable[..., Any]:
    """What says of what sort a callable is: itself, or the ``__call__`` of an object that is no function."""
    is_function = inspect.isroutine(method) or isinstance(method, functools.partial)
    return method if is_function else getattr(type(method), "__call__", method)  # noqa: B004 - not a test


def _hidden(method: Callable[..., Any]) -> set[str]:
    """The parameter that a bound method fills itself."""
    names = set()
    for one in (method, inspect.unwrap(method)):
        if inspect.isfunction(function := getattr(one, "__func__", None)):
            first = next(iter(inspect.signature(function, follow_wrapped=False).parameters.values()), None)
            if first is not None and first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
                names.add(first.name)
    return names


def _check_defaults(
    method: Callable[..., Any],
    parameters: list[inspect.Parameter],
    passed: Mapping[str, str],
    may_miss: frozenset[str],
    attributes: Mapping[str, str],
) -> None:
    for parameter in parameters:
        if passed[parameter.name] in may_miss and parameter.default is _EMPTY:
            message = f"takes {parameter.name!r}, which a payload may leave out; give the parameter a default"
            raise BindingFault(_told(method, attributes, message))


def _told(method: Callable[..., Any], attributes: Mapping[str, str], message: str) -> str:
    properties = ", ".join(attributes) or "none, the payload is any object"
    return (
        f"{message}\n  signature: {inspect.signature(method)}\n  properties: {properties}\n"
        "  a method takes properties by their names, or one parameter for the whole payload; 'ctx' is the context"
    )


def _made(source: str, scope: dict[str, Any]) -> Callable[[Any], Any]:
    exec(_compiled(source), scope)  # made of parameter names, which are identifiers, and repr()s
    invoke: Callable[[Any], Any] = scope["invoke"]
    return invoke


@functools.lru_cache(maxsize=1024)
def _compiled(source: str) -> Any:
    # Plugins of a kind mostly share their signatures; compiling costs more than everything else here.
    return compile(source, "<hook invoker>", "exec")


def _source(binding: Binding, *, typed: bool) -> str:
    by_attribute = typed and bool(binding.attributes)
    always: dict[str, str] = {}
    lines: list[str] = []
    if binding.context is not None:
        always[binding.context] = "context"
    if binding.call:
        always["call"] = "told"
    if binding.whole is not None:
        always[binding.whole] = "payload"
    for parameter, name in binding.passed.items():
        value, there = _read(name, binding.attributes[name] if by_attribute else None)
        may_miss = parameter in binding.optional or not by_attribute
        if parameter in binding.positional:
            default = f" if {there} else defaults[{parameter!r}]" if may_miss and parameter in binding.defaults else ""
            always[parameter] = value + default
        elif may_miss:
            lines += [f"if {there}:", f"    given[{parameter!r}] = {value}"]
        else:
            always[parameter] = value
    if binding.rest:
        lines += [
            "for key in payload:",
            "    if key not in named:",
            "        given[key + '_' if key in taken else key] = payload[key]",
        ]
    arguments = [always.pop(parameter) for parameter in binding.positional]
    arguments += [f"{parameter}={value}" for parameter, value in always.items()]
    if lines:
        lines.insert(0, "given = {}")
        arguments.append("**given")
    body = [*lines, f"return method({', '.join(arguments)})"]
    return "def invoke(payload):\n" + "".join(f"    {line}\n" for line in body)


def _read(name: str, attribute: str | None) -> tuple[str, str]:
    """The value of a property of ``payload``, and whether it is there."""
    if attribute is None:
        return f"payload[{name!r}]", f"{name!r} in payload"
    return f"payload.{attribute}", f"payload.{attribute} is not None or {name!r} in payload._nulls"
