"""A kind as a Python module: payload classes, protocols, and a hookspec class, for type checkers and at run time."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from dagstack_plugins.kinds.emit.annotations import ANY, Annotator
from dagstack_plugins.kinds.literals import docstring, literal, string
from dagstack_plugins.kinds.model import Dispatch, Hook, Kind
from dagstack_plugins.kinds.payload import Payload
from dagstack_plugins.kinds.payloads import ObjectParts, TypeBuilder, pascal

_WIDTH: Final = 88
_INDENT: Final = "    "
_HEAD: Final = "# Written by `dagstack-plugins emit`: change the hookspec, and emit it again."
_PARAMETERS: Final = frozenset({"self", "payload"})


def emit_python(kind: Kind) -> str:
    """A module that declares a kind.

    Args:
        kind: the kind.

    Returns:
        Its text, formatted.

    Raises:
        CannotEmit: if something in the kind has no form in Python.
    """
    builder = TypeBuilder.of(kind)
    names = _Names.of(kind, builder)
    annotator = Annotator(builder)
    typed = "\n\n".join(_typed(kind, builder, annotator, names))
    told = " ".join(kind.description.split())
    head = docstring(f"Kind {kind.name} {kind.version}{f': {told}' if told else ''}", _WIDTH - 3)
    body = [_HEAD, "", head, "", "from __future__ import annotations", "", *_imports(), ""]
    body += ["if TYPE_CHECKING:", *_typing_imports(typed), "", textwrap.indent(typed, _INDENT), "", ""]
    body += [*_hookspec(kind, names), ""]
    body += [
        "if not TYPE_CHECKING:",
        *(f"    {name} = {names.hookspec}.types[{string(name)}]" for name in builder.classes),
    ]
    if not builder.classes:
        body = body[:-1]
    return "\n".join(line.rstrip() for line in "\n".join(body).rstrip().split("\n")) + "\n"


class CannotEmit(ValueError):
    """Something in a kind has no form in the document that is asked for; the message says what and where."""


@attrs.frozen
class _Names:
    """What the module calls its parts, so that none has the name of a payload class.

    Attributes:
        hookspec: the hookspec class.
        plugin: the protocol of plugins.
        proxy: what ``get_plugin`` gives.
        kind_proxy: what ``registry.kind`` gives; the same where that makes no difference.
        calls: what each hook's call takes.
        base: the word that they begin with.
    """

    base: str
    hookspec: str
    plugin: str
    proxy: str
    kind_proxy: str
    calls: Mapping[str, str]

    @classmethod
    def of(cls, kind: Kind, builder: TypeBuilder) -> _Names:
        base, taken = pascal(kind.name), {*builder.classes, *_IMPORTED}

        def free(name: str) -> str:
            while name in taken:
                name += "_"
            taken.add(name)
            return name

        hookspec, plugin, proxy = free(f"{base}HookSpec"), free(f"{base}Plugin"), free(f"{base}Proxy")
        differs = any(hook.dispatch.is_broadcast for hook in kind.hooks.values())
        kind_proxy = free(f"{base}KindProxy") if differs else proxy
        calls = {hook: free(f"{pascal(hook)}Call") for hook in kind.hooks}
        return cls(base, hookspec, plugin, proxy, kind_proxy, calls)


_IMPORTED: Final = frozenset(
    [
        "TYPE_CHECKING",
        "Any",
        "Awaitable",
        "ClassVar",
        "HookSpec",
        "Literal",
        "Mapping",
        "Payload",
        "Protocol",
        "Result",
        "Sequence",
        "TypeVar",
    ]
)
"""Names that the module needs for others."""


# --- imports ----------------------------------------------------------------------------------------------------------


def _imports() -> Iterator[str]:
    yield "from typing import TYPE_CHECKING, Any, ClassVar"
    yield ""
    yield "from dagstack_plugins import HookSpec"


def _typing_imports(typed: str) -> Iterator[str]:
    abc = [name for name in ("Awaitable", "Mapping", "Sequence") if f"{name}[" in typed]
    if abc:
        yield f"    from collections.abc import {', '.join(abc)}"
    names = [name for name in ("Literal", "Protocol", "TypeVar", "overload") if name in typed]
    if names:
        yield f"    from typing import {', '.join(names)}"
    if "(Payload)" in typed:
        yield ""
        yield "    from dagstack_plugins import Payload"


# --- payloads ---------------------------------------------------------------------------------------------------------


def _typed(kind: Kind, builder: TypeBuilder, annotator: Annotator, names: _Names) -> Iterator[str]:
    yield 'Result = TypeVar("Result", covariant=True)'
    for name, cls in builder.classes.items():
        yield _payload(name, cls, builder.declared[name], annotator)
    for hook in kind.hooks.values():
        yield _call(hook, builder, names.calls[hook.name])
    if required := [hook for hook in kind.hooks.values() if hook.required]:
        yield _plugin(kind, required, builder, annotator, names)
    yield from _proxies(kind, builder, annotator, names, names.proxy, of_kind=False)
    if names.kind_proxy != names.proxy:
        yield from _proxies(kind, builder, annotator, names, names.kind_proxy, of_kind=True)


def _payload(name: str, cls: type[Payload], declared: ObjectParts, annotator: Annotator) -> str:
    attributes: Mapping[str, str] = cls._attributes
    lines = [f"class {name}(Payload):"]
    told = declared.description or f"Payload {name}."
    lines += textwrap.indent(docstring(told, _WIDTH - 12), _INDENT).split("\n")
    types = {prop: _attribute_type(prop, cls, declared, annotator) for prop in attributes}
    if attributes:
        lines.append("")
        lines += [f"{_INDENT}{attributes[prop]}: {types[prop]}" for prop in attributes]
    lines.append("")
    parameters: list[str] = []
    seen_optional = keyword_only = False
    for prop, attribute in attributes.items():
        optional = prop in cls._optional
        if seen_optional and not optional and not keyword_only:
            parameters.append("*")
            keyword_only = True
        parameters.append(f"{attribute}: {types[prop]}" + (" = ..." if optional else ""))
        seen_optional = seen_optional or optional
    return "\n".join([*lines, *_signature("__init__", ["self", *parameters], "None", indent=4)])


def _attribute_type(prop: str, cls: type[Payload], declared: ObjectParts, annotator: Annotator) -> str:
    annotation = annotator.of_property(declared.properties[prop])
    may_miss = prop in cls._optional and prop not in cls._filled
    return _or_none(annotation) if may_miss else annotation


def _or_none(annotation: str) -> str:
    return annotation if annotation == ANY or annotation.split(" | ")[-1] == "None" else f"{annotation} | None"


# --- calls ------------------------------------------------------------------------------------------------------------


def _call(hook: Hook, builder: TypeBuilder, name: str) -> str:
    """What a hook's call takes: the payload, or its properties."""
    cls = builder.inputs[hook.name].type
    lines = [f"class {name}(Protocol[Result]):"]
    lines += textwrap.indent(docstring(hook.description or f"Calls {hook.name}.", _WIDTH - 12), _INDENT).split("\n")
    whole = ["self", "payload: Mapping[str, Any]" + ("" if cls is None else f" | {cls.__name__}"), "/"]
    if cls is None:
        whole[1] += " = ..."
        return "\n".join([*lines, "", *_signature("__call__", [*whole, "**arguments: Any"], "Result", indent=4)])
    overload = f"{_INDENT}@overload"
    parameters = _parameters(cls, builder.declared[cls.__name__], Annotator(builder, accepts=True))
    return "\n".join(
        [
            *lines,
            "",
            overload,
            *_signature("__call__", whole, "Result", indent=4),
            overload,
            *_signature("__call__", parameters, "Result", indent=4),
        ]
    )


def _parameters(cls: type[Payload], declared: ObjectParts, annotator: Annotator) -> list[str]:
    """The properties as arguments, in the order in which they bind; others by keyword, where the schema admits them."""
    attributes: Mapping[str, str] = cls._attributes
    found = ["self"]
    if "self" in attributes.values():
        found = ["self_", "/"]
    seen_optional = keyword_only = False
    for prop, attribute in attributes.items():
        annotation = annotator.of_property(declared.properties[prop])
        optional = prop in cls._optional
        if seen_optional and not optional and not keyword_only:
            found.append("*")
            keyword_only = True
        found.append(f"{attribute}: {annotation}" + (" = ..." if optional else ""))
        seen_optional = seen_optional or optional
    odd = declared.properties.keys() - attributes.keys()
    return [*found, "**more: Any"] if odd or declared.open else found


def _returns(hook: Hook, builder: TypeBuilder, annotator: Annotator) -> str:
    shape = builder.outputs[hook.name]
    return shape.type.__name__ if shape.type is not None and _is_object(hook) else annotator.of(hook.output_schema)


def _is_object(hook: Hook) -> bool:
    body = hook.output_schema.body if hook.output_schema is not None else None
    return isinstance(body, dict) and body.get("type", "object") == "object"


def _plugin(kind: Kind, hooks: Iterable[Hook], builder: TypeBuilder, annotator: Annotator, names: _Names) -> str:
    """What a plugin may look like: hosts take methods of other signatures too, which no protocol can say."""
    lines = [f"class {names.plugin}(Protocol):"]
    told = f"A plugin of kind {kind.name}: its required hooks, each with the whole payload."
    lines += textwrap.indent(docstring(told, _WIDTH - 12), _INDENT).split("\n")
    for hook in hooks:
        cls = builder.inputs[hook.name].type
        given = ["self", f"payload: {cls.__name__ if cls is not None else ANY}", "/"]
        result = _returns(hook, builder, annotator)
        shape = builder.outputs[hook.name].type
        answer = f"{result} | Mapping[str, Any]" if shape is not None and result != ANY else result
        if hook.dispatch is Dispatch.BROADCAST_NOTIFY:
            answer = "object"
        if hook.is_async is None and answer not in (ANY, "object"):
            answer = f"{answer} | Awaitable[{answer}]"
        lines += ["", *_signature(hook.name, given, answer, indent=4, is_async=bool(hook.is_async))]
    return "\n".join(lines)


def _proxies(
    kind: Kind, builder: TypeBuilder, annotator: Annotator, names: _Names, name: str, *, of_kind: bool
) -> Iterator[str]:
    what = f"kind {kind.name}, each hook by its dispatch class" if of_kind else f"one plugin of kind {kind.name}"
    for suffix, how in (("Aio", "awaited whatever its colour"), ("Sync", "blocking whatever its colour")):
        told = f"The hooks of {what}, each {how}."
        hooks = [(hook, _result(hook, builder, annotator, of_kind=of_kind)) for hook in kind.hooks.values()]
        members = [(hook, f"Awaitable[{result}]" if suffix == "Aio" else result) for hook, result in hooks]
        yield "\n".join([*_protocol(f"{name}{suffix}", told), *_members(members, names)])
    own = []
    for hook in kind.hooks.values():
        result = _result(hook, builder, annotator, of_kind=of_kind)
        own.append((hook, ANY if hook.is_async is None else f"Awaitable[{result}]" if hook.is_async else result))
    forms = [(form, f"{name}{form.capitalize()}") for form in ("aio", "sync")]
    lines = [*_protocol(name, f"The hooks of {what}."), *_members(own, names)]
    for form, cls in forms:
        lines += ["", f"{_INDENT}@property", f"{_INDENT}def {form}(self) -> {cls}: ..."]
    yield "\n".join(lines)


def _result(hook: Hook, builder: TypeBuilder, annotator: Annotator, *, of_kind: bool) -> str:
    """What a caller gets."""
    result = _returns(hook, builder, annotator)
    if hook.dispatch is Dispatch.BROADCAST_NOTIFY:
        return "None"
    if of_kind and hook.dispatch is Dispatch.BROADCAST_COLLECT:
        return f"list[{result}]"
    return result


def _protocol(name: str, told: str) -> list[str]:
    return [f"class {name}(Protocol):", *textwrap.indent(docstring(told, _WIDTH - 12), _INDENT).split("\n")]


def _members(members: Iterable[tuple[Hook, str]], names: _Names) -> Iterator[str]:
    for hook, result in members:
        yield ""
        yield f"{_INDENT}@property"
        yield f"{_INDENT}def {hook.name}(self) -> {names.calls[hook.name]}[{result}]: ..."


def _signature(name: str, parameters: list[str], returns: str, *, indent: int, is_async: bool = False) -> Iterator[str]:
    space = " " * indent
    word = "async def" if is_async else "def"
    line = f"{space}{word} {name}({', '.join(parameters)}) -> {returns}: ..."
    if len(line) + 4 <= _WIDTH:
        yield line
        return
    yield f"{space}{word} {name}("
    # What takes all the rest, and the mark of positional ones, may be last: a comma after it is fine all the same.
    yield from (f"{space}    {parameter}," for parameter in parameters)
    last = f"{space}) -> {returns}: ..."
    yield from [last] if len(last) + 4 <= _WIDTH else [f"{space}) -> (", f"{space}    {returns}", f"{space}): ..."]


# --- the hookspec class -----------------------------------------------------------------------------------------------


def _hookspec(kind: Kind, names: _Names) -> Iterator[str]:
    base = f'HookSpec["{names.proxy}", "{names.kind_proxy}"]'
    line = f"class {names.hookspec}({base}):"
    yield from [line] if len(line) <= _WIDTH else [f"class {names.hookspec}(", f"{_INDENT}{base}", "):"]
    told = f"Kind {kind.name} {kind.version}: for registry.add_hookspecs, get_plugin and kind."
    yield from textwrap.indent(docstring(told, _WIDTH - 8), _INDENT).split("\n")
    yield ""
    for name, value in (("declaration", kind.declared), ("schemas", kind.schemas.bodies)):
        if value:
            head = f"{name}: ClassVar[dict[str, Any]] = "
            yield f"{_INDENT}{head}{literal(_plain(value), _WIDTH, 4, len(head))}"
    yield ""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
