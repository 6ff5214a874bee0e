"""A kind as a Python module: payload classes, protocols, and a hookspec class, for type checkers and at run time."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from dagstack_plugins.kinds.emit.annotations import ANY, Annotator
from dagstack_plugins.kinds.emit.bundle import CannotEmit
from dagstack_plugins.kinds.literals import docstring, literal, string
from dagstack_plugins.kinds.model import Dispatch, Hook, Kind
from dagstack_plugins.kinds.payload import Payload
from dagstack_plugins.kinds.payload_class import ObjectParts
from dagstack_plugins.kinds.payloads import TypeBuilder, pascal

_WIDTH: Final = 88
_INDENT: Final = "    "
_HEAD: Final = "# Written by `dagstack-plugins emit`: change the hookspec, and emit it again."


def emit_python(kind: Kind) -> str:
    """A module that declares a kind.

    Args:
        kind: the kind.

    Returns:
        Its text, formatted.

    Raises:
        CannotEmit: if a schema's title is a name that the module needs itself.
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
    if builder.classes:
        body.append("if not TYPE_CHECKING:")
        body += [f"{_INDENT}{name} = {names.hookspec}.types[{string(name)}]" for name in builder.classes]
    return "\n".join(line.rstrip() for line in "\n".join(body).rstrip().split("\n")) + "\n"


@attrs.frozen
class _Names:
    """What the module calls its parts, so that none has the name of a payload class.

    Attributes:
        hookspec: the hookspec class.
        plugin: the protocol of plugins.
        proxy: what ``get_plugin`` gives.
        kind_proxy: what ``registry.kind`` gives; the same where that makes no difference.
        calls: what each hook's call takes.
    """

    hookspec: str
    plugin: str
    proxy: str
    kind_proxy: str
    calls: Mapping[str, str]

    @classmethod
    def of(cls, kind: Kind, builder: TypeBuilder) -> _Names:
        base, taken = pascal(kind.name), {*builder.classes, *_IMPORTED}
        if odd := sorted(builder.classes.keys() & _IMPORTED):
            raise CannotEmit(f"a schema's title is {odd[0]!r}, a name that the module needs itself; give it another")

        def free(name: str) -> str:
            while not taken.isdisjoint({name, f"{name}Aio", f"{name}Sync"}):
                name += "_"
            taken.update({name, f"{name}Aio", f"{name}Sync"})
            return name

        hookspec, plugin, proxy = free(f"{base}HookSpec"), free(f"{base}Plugin"), free(f"{base}Proxy")
        differs = any(hook.dispatch.is_broadcast for hook in kind.hooks.values())
        kind_proxy = free(f"{base}KindProxy") if differs else proxy
        calls = {hook: free(f"{pascal(hook)}Call") for hook in kind.hooks}
        return cls(hookspec, plugin, proxy, kind_proxy, calls)


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
    yield '_Result = TypeVar("_Result", covariant=True)'
    payloads = [_Class(name, cls, builder.declared[name], annotator) for name, cls in builder.classes.items()]
    yield from (payload.text() for payload in payloads)
    hidden = {name for payload in payloads for name in payload.hidden} | _hidden_by_hooks(kind)
    if hidden:
        yield "\n".join(f"_{name} = {name}" for name in sorted(hidden))
    for hook in kind.hooks.values():
        yield _call(hook, builder, names.calls[hook.name])
    if required := [hook for hook in kind.hooks.values() if hook.required]:
        yield _plugin(kind, required, builder, annotator, names)
    yield from _proxies(kind, builder, annotator, names, names.proxy, of_kind=False)
    if names.kind_proxy != names.proxy:
        yield from _proxies(kind, builder, annotator, names, names.kind_proxy, of_kind=True)


class _Class:
    """A payload class, as type checkers see it.

    Args:
        name: its name.
        cls: the class at run time.
        declared: what its schema declares.
        annotator: tells the types of properties.

    Attributes:
        hidden: names of types that it has attributes of the same name for, so that they need another one inside it.
    """

    def __init__(self, name: str, cls: type[Payload], declared: ObjectParts, annotator: Annotator) -> None:
        self._name = name
        self._cls = cls
        self._told = declared.description or f"Payload {name}."
        self._attributes: Mapping[str, str] = cls._attributes
        types = {prop: annotator.of_property(declared.properties[prop]) for prop in self._attributes}
        used = {word for annotation in types.values() for word in _WORD.findall(annotation) if word.isidentifier()}
        self.hidden = used & set(self._attributes.values())
        self._types = {prop: self._renamed(annotation) for prop, annotation in types.items()}

    def _renamed(self, annotation: str) -> str:
        return _WORD.sub(lambda found: f"_{found[0]}" if found[0] in self.hidden else found[0], annotation)

    def text(self) -> str:
        """The class."""
        optional, filled = self._cls._optional, self._cls._filled  # noqa: SLF001 - made in this room
        types = {
            prop: _or_none(annotation) if prop in optional - filled else annotation
            for prop, annotation in self._types.items()
        }
        lines = [f"class {self._name}(Payload):"]
        lines += textwrap.indent(docstring(self._told, _WIDTH - 12), _INDENT).split("\n")
        lines += [""] if types else []
        lines += [f"{_INDENT}{self._attributes[prop]}: {annotation}" for prop, annotation in types.items()]
        parameters = _bound((self._attributes[prop], types[prop], prop in optional) for prop in types)
        return "\n".join([*lines, "", *_signature("__init__", ["self", *parameters], "None", indent=4)])


_WORD: Final = re.compile(r"""\"(?:\\.|[^"\\])*\"|'(?:\\.|[^'\\])*'|\w+""")
"""A word of an annotation, or a whole text in it."""


def _bound(properties: Iterable[tuple[str, str, bool]]) -> Iterator[str]:
    """Name, type and whether it may be left out, as parameters; what must be given after what needn't, by keyword."""
    seen_optional = keyword_only = False
    for name, annotation, optional in properties:
        if seen_optional and not optional and not keyword_only:
            keyword_only = True
            yield "*"
        yield f"{name}: {annotation}" + (" = ..." if optional else "")
        seen_optional = seen_optional or optional


def _or_none(annotation: str) -> str:
    return annotation if annotation == ANY or annotation.split(" | ")[-1] == "None" else f"{annotation} | None"


# --- calls ------------------------------------------------------------------------------------------------------------


def _call(hook: Hook, builder: TypeBuilder, name: str) -> str:
    """What a hook's call takes: the payload, or its properties."""
    cls = builder.inputs[hook.name].type
    lines = [f"class {name}(Protocol[_Result]):"]
    lines += textwrap.indent(docstring(hook.description or f"Calls {hook.name}.", _WIDTH - 12), _INDENT).split("\n")
    whole = ["self", "payload: Mapping[str, Any]" + ("" if cls is None else f" | {cls.__name__}"), "/"]
    if cls is None:
        whole[1] += " = ..."
        return "\n".join([*lines, "", *_signature("__call__", [*whole, "**arguments: Any"], "_Result", indent=4)])
    overload = f"{_INDENT}@overload"
    parameters = _parameters(cls, builder.declared[cls.__name__], Annotator(builder, accepts=True))
    return "\n".join(
        [
            *lines,
            "",
            overload,
            *_signature("__call__", whole, "_Result", indent=4),
            overload,
            *_signature("__call__", parameters, "_Result", indent=4),
        ]
    )


def _parameters(cls: type[Payload], declared: ObjectParts, annotator: Annotator) -> list[str]:
    """The properties as arguments, in the order in which they bind; others by keyword, where the schema admits them."""
    attributes: Mapping[str, str] = cls._attributes
    taken = set(attributes.values())
    found = ["self"]  # no attribute is called so
    found += _bound(
        (attribute, annotator.of_property(declared.properties[prop]), prop in cls._optional)
        for prop, attribute in attributes.items()
    )
    odd = declared.properties.keys() - attributes.keys()
    rest = "more"
    while rest in taken:
        rest += "_"
    return [*found, f"**{rest}: Any"] if odd or declared.open else found


def _returns(hook: Hook, builder: TypeBuilder, annotator: Annotator) -> str:
    annotation = annotator.of(hook.output_schema)
    cls = builder.outputs[hook.name].type
    if cls is None or hook.output_schema is None:
        return annotation
    # Two hooks that share a schema have classes of their own names.
    made = builder.made_of(builder.target(hook.output_schema, "")[0]) or cls
    return _WORD.sub(lambda found: cls.__name__ if found[0] == made.__name__ else found[0], annotation)


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
    word = "_property" if "property" in kind.hooks else "property"
    for form, cls in forms:
        lines += ["", f"{_INDENT}@{word}", f"{_INDENT}def {form}(self) -> {cls}: ..."]
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
    members = list(members)
    hidden = _BUILT_IN & {hook.name for hook, _ in members}
    for hook, result in members:
        shown = _WORD.sub(lambda found: f"_{found[0]}" if found[0] in hidden else found[0], result)
        yield ""
        yield f"{_INDENT}@{'_property' if 'property' in hidden else 'property'}"
        yield f"{_INDENT}def {hook.name}(self) -> {names.calls[hook.name]}[{shown}]: ..."


_BUILT_IN: Final = frozenset({"bool", "dict", "float", "int", "list", "property", "str"})
"""Names that proxies need, and that a hook may have too."""


def _hidden_by_hooks(kind: Kind) -> set[str]:
    return set(_BUILT_IN & kind.hooks.keys())


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
