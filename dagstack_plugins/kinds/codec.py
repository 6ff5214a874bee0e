"""What crosses the border of one hook: arguments become a checked payload, a result becomes the kind's type."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NoReturn

import jsonschema_rs

from dagstack_plugins.errors import Fault, PayloadInvalid
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.kinds.model import Hook, Kind
from dagstack_plugins.kinds.payload import Payload
from dagstack_plugins.kinds.payloads import Convert, PayloadTypes, Shape
from dagstack_plugins.kinds.schemas import Schema
from dagstack_plugins.schemafaults import dotted, faults_of, nearest, shown

_ANY_OBJECT: Final = Schema({"type": "object"}, "any object")


class Validate(StrEnum):
    """What is checked of each call.

    Members:
        ALL: input and output are checked, filled and typed.
        INPUT: input is checked, filled and typed; output is typed only.
        OFF: nothing is checked, filled or typed.
    """

    ALL = "all"
    INPUT = "input"
    OFF = "off"


class HookCodec:
    """The border of one hook.

    Attributes:
        kind, hook: whose border it is.
        input: what inputs are made into.
        properties: the declared input properties, in the order that positional arguments bind in.
        typed: whether plugins get payload objects; with ``Validate.OFF`` they get what the caller gave.
    """

    def __init__(self, kind: Kind, hook: Hook, types: PayloadTypes, validate: Validate) -> None:
        self.kind = kind
        self.hook = hook
        self.input: Shape = types.inputs[hook.name]
        self.typed = validate is not Validate.OFF
        self.properties: tuple[str, ...] = tuple(_declared(self.input))
        self._keywords = _renamed(self.input)
        self._check_input = kind.schemas.validator(hook.input_schema or _ANY_OBJECT)
        output = types.outputs[hook.name]
        self._fill_output = output.fill
        self._convert_output: Convert | None = output.convert
        self._check_output: jsonschema_rs.Draft202012Validator | None = None
        if hook.output_schema is not None and validate is Validate.ALL:
            self._check_output = kind.schemas.validator(hook.output_schema)
        self._handed_back = validate is Validate.OFF or hook.output_schema is None

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The payload of a call.

        Args:
            args: positional arguments: the properties in order, or the whole payload alone.
            kwargs: keyword arguments; consumed.

        Raises:
            PayloadInvalid: if they don't bind, or what they make isn't what the hook takes.
        """
        data = self._bind(args, kwargs) if args or self._keywords else kwargs
        return self.accept(data) if self.typed else data

    def accept(self, data: Any, plugin: str | None = None) -> Any:
        """Check, fill and type one input.

        Args:
            data: the payload, as JSON or as objects that can be told in JSON.
            plugin: the plugin that made it, in a chain.
        """
        try:
            data = to_json(data)
            if self.input.fill is not None:
                data = self.input.fill(data)
            if not self._check_input.is_valid(data):
                self._refuse("input", faults_of(self._check_input.iter_errors(data)), plugin)
            return self.input.type.from_dict(data) if self.input.type is not None else data
        except NotJson as error:
            self._refuse("input", [_not_json(error)], plugin)
        except PayloadInvalid:
            raise
        except Exception as error:  # a mapping or an object runs code of its own
            self._refuse("input", [Fault("$", f"cannot be checked: {error}")], plugin)

    def result(self, value: Any, plugin: str) -> Any:
        """What the caller gets for what a plugin returned.

        Raises:
            PayloadInvalid: if it isn't what the hook's output schema says.
        """
        if self._handed_back:
            return value
        try:
            data = to_json(value)
            if self._check_output is not None:
                if self._fill_output is not None:
                    data = self._fill_output(data)
                if not self._check_output.is_valid(data):
                    self._refuse("output", faults_of(self._check_output.iter_errors(data)), plugin)
            return self._convert_output(data) if self._convert_output is not None else data
        except NotJson as error:
            self._refuse("output", [_not_json(error)], plugin)
        except KeyError as error:
            self._refuse("output", [Fault("$", f"{error} is missing")], plugin)
        except PayloadInvalid:
            raise
        except Exception as error:
            self._refuse("output", [Fault("$", f"cannot be checked: {error}")], plugin)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) == 1 and not kwargs:
            payload = args[0]
            if type(payload) is dict:
                return dict(payload)
            if isinstance(payload, Payload):
                return payload.to_dict() if self.typed else payload
            if isinstance(payload, Mapping):
                return payload
        if len(args) > len(self.properties):
            self._refuse("input", [Fault("$", self._too_many(args))])
        given = dict(zip(self.properties, args, strict=False))
        twice = []
        for keyword, value in kwargs.items():
            name = self._keywords.get(keyword, keyword)
            if name in given:
                twice.append(Fault(dotted([name]), "given twice, by position or keyword"))
            given[name] = value
        if twice:
            self._refuse("input", twice)
        return given

    def _too_many(self, args: tuple[Any, ...]) -> str:
        if self.properties:
            return f"takes at most {len(self.properties)} positional arguments, {len(args)} were given"
        return f"found {', '.join(map(shown, args))}; this hook takes one mapping, or keywords"

    def _refuse(self, side: str, faults: list[Fault], plugin: str | None = None) -> NoReturn:
        where = f"{self.kind.name}.{self.hook.name}"
        faults = faults or [Fault("$", "does not fit the schema")]
        if side == "input":
            headline = f"{where}: the input is not valid"
            if plugin is not None:
                headline = f"{where}: what plugin {plugin!r} passed on is not valid as the next input"
            advice = f"\nit takes: {self._signature()}"
        else:
            headline = f"{where}: what plugin {plugin!r} returned is not valid"
            advice = "\nmend the plugin, or the output_schema that its kind declares"
        raise PayloadInvalid(
            headline + "".join(f"\n  - {fault}" for fault in faults) + advice,
            side=side,
            path=faults[0].path,
            faults=faults,
            kind=self.kind.name,
            hook=self.hook.name,
            plugin=plugin,
        )

    def _signature(self) -> str:
        if self.input.type is None:
            return "one object"
        optional = self.input.type._optional  # noqa: SLF001 - the class is made in this room
        return ", ".join(f"[{name}]" if name in optional else name for name in self.properties)

    def suggest(self, name: str) -> str:
        """A hint for a name that is near to one of the hook's properties."""
        return nearest(name, self.properties)


def _declared(shape: Shape) -> Mapping[str, str]:
    return shape.type._attributes if shape.type is not None else {}  # noqa: SLF001 - the class is made in this room


def _renamed(shape: Shape) -> dict[str, str]:
    """Keywords that stand for properties which Python could not take as a keyword."""
    return {attribute: name for name, attribute in _declared(shape).items() if attribute != name}


def _not_json(error: NotJson) -> Fault:
    return Fault(dotted(error.path), str(error))
