"""``HookSpec``: a kind as a Python class, which type checkers understand; written by the emitter from a hookspec."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from dagstack_plugins.errors import HookspecInvalid
from dagstack_plugins.kinds.hookspec import build_kind
from dagstack_plugins.kinds.model import Kind
from dagstack_plugins.kinds.payloads import PayloadTypes
from dagstack_plugins.kinds.schemas import SchemaFiles
from dagstack_plugins.kinds.yamldoc import YamlDocument

PluginProxy = TypeVar("PluginProxy")
"""What ``registry.get_plugin`` gives, for type checkers."""
KindProxy = TypeVar("KindProxy")
"""What ``registry.kind`` gives, for type checkers."""


class HookSpec(Generic[PluginProxy, KindProxy]):
    """A kind as a class: ``registry.add_hookspecs(PaymentHookSpec)``, ``registry.get_plugin(PaymentHookSpec)``.

    Attributes:
        declaration: what a hookspec's YAML holds, as plain JSON.
        schemas: the schema files that it names, by their names.
        kind: the kind, checked when the class is made.
        types: its payload classes.

    Raises:
        HookspecInvalid: when a subclass is made, with every fault of its declaration.

    Examples:
        >>> class Greeter(HookSpec):
        ...     declaration = {
        ...         "kind": "greeter",
        ...         "kind_api_version": "1.0.0",
        ...         "hooks": [{"name": "greet", "dispatch": "singleton"}],
        ...     }
        >>> Greeter.kind.name, list(Greeter.kind.hooks)
        ('greeter', ['greet'])

    .. versionadded:: 0.1
    """

    declaration: ClassVar[dict[str, Any]]
    schemas: ClassVar[dict[str, Any]] = {}
    kind: ClassVar[Kind]
    types: ClassVar[PayloadTypes]

    def __init_subclass__(cls, **known: Any) -> None:
        super().__init_subclass__(**known)
        declaration = cls.__dict__.get("declaration")
        if not isinstance(declaration, Mapping):
            raise HookspecInvalid(
                f"{cls.__qualname__} has no declaration: a dict with kind, kind_api_version and hooks"
            )
        try:  # lists for tuples, and nothing that YAML could not say
            plain, schemas = json.loads(json.dumps([dict(declaration), dict(cls.schemas)]))
        except (TypeError, ValueError) as error:
            raise HookspecInvalid(f"{cls.__qualname__}: declaration and schemas are plain JSON: {error}") from None
        cls.kind = build_kind(YamlDocument(plain, {}, []), SchemaFiles(None, schemas))
        cls.types = PayloadTypes.of(cls.kind)


def hookspec_classes(given: ModuleType | type) -> Iterator[type[HookSpec[Any, Any]]]:
    """The hookspec classes that a class or module stands for.

    Args:
        given: one of them, or a module that defines some.

    Raises:
        HookspecInvalid: if there is none.
    """
    found = [given] if isinstance(given, type) else list(vars(given).values())
    classes = [one for one in found if isinstance(one, type) and issubclass(one, HookSpec) and one is not HookSpec]
    if isinstance(given, ModuleType):
        classes = [one for one in classes if one.__module__ == given.__name__]
    if not classes:
        what = f"class {given.__qualname__}" if isinstance(given, type) else f"module {given.__name__}"
        raise HookspecInvalid(
            f"{what} declares no kind; a kind is a subclass of HookSpec, as `dagstack-plugins emit` writes it"
        )
    yield from classes
