"""What crosses the border of one hook: arguments become a checked payload, a result becomes the kind's type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, NoReturn

import attrs
import jsonschema_rs

from dagstack_plugins.calls import Call
from dagstack_plugins.errors import Fault, PayloadInvalid
from dagstack_plugins.interrupts import is_interrupt
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.kinds.model import Hook, Kind
from dagstack_plugins.kinds.payload import Payload
from dagstack_plugins.kinds.payload_class import Convert
from dagstack_plugins.kinds.payloads import PayloadTypes, Shape
from dagstack_plugins.kinds.schemas import Schema
from dagstack_plugins.kinds.shortcut import Shortcut, shortcut
from dagstack_plugins.schemafaults import faults_of
from dagstack_plugins.wording import dotted, raised, shown

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
        call: what native pluggy implementations are told beside their payload.
        input: what inputs are made into.
        properties: the declared input properties, in the order that positional arguments bind in.
        hands_back: whether callers get what the plugin returned, as it is.
        typed: whether plugins get payload objects; with ``Validate.OFF`` they get what the caller gave.
        load: positional arguments and keywords, which it may consume, to the payload of a call; ``PayloadInvalid`` if
            they don't bind, or what they make isn't what the hook takes.
        result: what a plugin returned, and the plugin's name, to what the caller gets; ``PayloadInvalid`` if it isn't
            what the hook's output schema says.
        short_result: a ``dict`` that a plugin returned to the same, or ``None`` where ``result`` has to look closer;
            ``None`` itself where that is always so.
    """

    load: Callable[[tuple[Any, ...], dict[str, Any]], Any]
    result: Callable[[Any, str], Any]

    def __init__(self, kind: Kind, hook: Hook, types: PayloadTypes, validate: Validate) -> None:
        self.kind = kind
        self.hook = hook
        self.call = Call(kind.name, hook.name)
        self.input: Shape = types.inputs[hook.name]
        self.typed = validate is not Validate.OFF
        self.properties: tuple[str, ...] = tuple(_declared(self.input))
        self._keywords = _renamed(self.input)
        self._check_input = kind.schemas.validator(hook.input_schema or _ANY_OBJECT)
        self._output = output = types.outputs[hook.name]
        self._fill_output = output.fill
        self._convert_output: Convert | None = output.convert
        self._check_output: jsonschema_rs.Draft202012Validator | None = None
        if hook.output_schema is not None and validate is Validate.ALL:
            self._check_output = kind.schemas.validator(hook.output_schema)
        self.hands_back = validate is Validate.OFF or hook.output_schema is None
        self._alike = _alike(self.input, output)
        self._short_input = self._shortcut(hook.input_schema, self.input, self._check_input)
        self.load = _loader(self, self._short_input)
        short = None if self.hands_back else self._shortcut(hook.output_schema, output, self._check_output)
        self.short_result = None if short is None else short.from_dict
        self.result = _hand_back if self.hands_back else _finisher(self)

    def _shortcut(
        self, schema: Schema | None, shape: Shape, check: jsonschema_rs.Draft202012Validator | None
    ) -> Shortcut | None:
        if schema is None or not self.typed:
            return None
        if check is None:  # what is not checked is not filled either
            return shortcut(schema.body, attrs.evolve(shape, defaults=shape.defaults and {}), None)
        return shortcut(schema.body, shape, check.is_valid)

    def load_any(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What ``load`` does, the long way."""
        data = self._bind(args, kwargs) if args or self._keywords else kwargs
        return self._accept_any(data) if self.typed else data

    def accept(self, data: Any, plugin: str | None = None) -> Any:
        """Check, fill and type one input.

        Args:
            data: the payload, as JSON or as objects that can be told in JSON.
            plugin: the plugin that made it, in a chain.

        Raises:
            PayloadInvalid: if it isn't what the hook takes.
        """
        if self._short_input is not None:
            try:
                payload = self._accepted_shortly(data, self._short_input)
            except BaseException as error:  # of what lies in it; the long way tells of that
                if is_interrupt(error):
                    raise
                payload = None
            if payload is not None:
                return payload
        return self._accept_any(data, plugin)

    def _accepted_shortly(self, data: Any, short: Shortcut) -> Any:
        cls = type(data)
        if (cls is self.input.type or cls is self._alike) and (same := short.from_payload(data)) is not None:
            return same
        plain = data.to_dict() if isinstance(data, Payload) else data
        return short.from_dict(plain) if type(plain) is dict else None

    def _accept_any(self, data: Any, plugin: str | None = None) -> Any:
        try:
            data = to_json(data)
            if self.input.fill is not None:
                data = self.input.fill(data)
            if not self._check_input.is_valid(data):
                self.refuse("input", faults_of(self._check_input.iter_errors(data), declared=self.properties), plugin)
            return self.input.type.from_dict(data) if self.input.type is not None else data
        except BaseException as error:  # a mapping or an object runs code of its own, which may even exit
            self.refuse("input", [_tripped_over(error)], plugin)

    def result_of_any(self, value: Any, plugin: str) -> Any:
        """What ``result`` does, the long way."""
        try:
            data = to_json(value)
            if self._check_output is not None:
                if self._fill_output is not None:
                    data = self._fill_output(data)
                if not self._check_output.is_valid(data):
                    errors = self._check_output.iter_errors(data)
                    self.refuse("output", faults_of(errors, declared=tuple(_declared(self._output))), plugin)
            return self._typed_output(data, plugin)
        except BaseException as error:  # a mapping or an object runs code of its own, which may even exit
            self.refuse_result(error, plugin)

    def _typed_output(self, data: Any, plugin: str) -> Any:
        if self._convert_output is None:
            return data
        try:
            return self._convert_output(data)
        except KeyError as error:  # where outputs are typed without having been checked
            self.refuse("output", [Fault("$", f"{error} is missing")], plugin)

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
            self.refuse("input", [Fault("$", self._too_many(args))])
        given = dict(zip(self.properties, args, strict=False))
        twice = []
        for keyword, value in kwargs.items():
            name = self._keywords.get(keyword, keyword)
            if name in given:
                twice.append(Fault(dotted([name]), "given twice, by position or keyword"))
            given[name] = value
        if twice:
            self.refuse("input", twice)
        return given

    def _too_many(self, args: tuple[Any, ...]) -> str:
        if self.properties:
            return f"takes at most {len(self.properties)} positional arguments, {len(args)} were given"
        return f"found {', '.join(map(shown, args))}; this hook takes one mapping, or keywords"

    def refuse_own_input(self, faults: list[Fault], plugin: str, takes: str) -> NoReturn:
        """Raise for an input that keeps the kind's schema, but not the one that the plugin tells of itself."""
        advice = f"\nit takes: {takes}" if takes else ""
        self._raise("input", f"the input is not what plugin {plugin!r} takes", faults, plugin, advice)

    def refuse_input(self, error: BaseException) -> NoReturn:
        """Raise for an input that has no form in JSON."""
        self.refuse("input", [_tripped_over(error)])

    def refuse_result(self, error: BaseException, plugin: str) -> NoReturn:
        """Raise for what a plugin returned, and what has no form in JSON."""
        self.refuse("output", [_tripped_over(error)], plugin)

    def refuse(self, side: str, faults: list[Fault], plugin: str | None = None) -> NoReturn:
        """Raise for an input, or for an output of a plugin."""
        if side == "output":
            advice = "\nmend the plugin, or the output_schema that its kind declares"
            self._raise(side, f"what plugin {plugin!r} returned is not valid", faults, plugin, advice)
        headline = "the input is not valid"
        if plugin is not None:
            headline = f"what plugin {plugin!r} passed on is not valid as the next input"
        self._raise(side, headline, faults, plugin, f"\nit takes: {self._signature()}")

    def _raise(self, side: str, headline: str, faults: list[Fault], plugin: str | None, advice: str) -> NoReturn:
        faults = faults or [Fault("$", "does not fit the schema")]
        told = "".join(f"\n  - {fault}" for fault in faults)
        raise PayloadInvalid(
            f"{self.kind.name}.{self.hook.name}: {headline}{told}{advice}",
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


def _loader(codec: HookCodec, short: Shortcut | None) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    if short is None:
        return codec.load_any
    load_any, cls, from_dict, from_payload = codec.load_any, codec.input.type, short.from_dict, short.from_payload

    def load(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        payload = None
        if not args:
            payload = from_dict(kwargs)
        elif not kwargs and len(args) == 1 and type(args[0]) is cls:
            payload = from_payload(args[0])
        return load_any(args, kwargs) if payload is None else payload

    return load


def _finisher(codec: HookCodec) -> Callable[[Any, str], Any]:
    result_of_any, from_dict = codec.result_of_any, codec.short_result
    if from_dict is None:
        return result_of_any

    def result(value: Any, plugin: str) -> Any:
        try:
            payload = from_dict(value) if type(value) is dict else None
        except BaseException as error:  # of what lies in it; the long way tells of that
            if is_interrupt(error):
                raise
            payload = None
        return result_of_any(value, plugin) if payload is None else payload

    return result


def _alike(shape: Shape, output: Shape) -> type[Payload] | None:
    """The output's class, if its attributes mean what the input's do: a chain's plugins hand it on."""
    mine, others = ((dict(_declared(one)), one.type and one.type._optional) for one in (shape, output))  # noqa: SLF001
    return output.type if mine == others else None


def _hand_back(value: Any, plugin: str) -> Any:  # noqa: ARG001 - it takes what all the others take
    return value


def _declared(shape: Shape) -> Mapping[str, str]:
    return shape.type._attributes if shape.type is not None else {}  # noqa: SLF001 - the class is made in this room


def _renamed(shape: Shape) -> dict[str, str]:
    """Keywords that stand for properties which Python could not take as a keyword."""
    return {attribute: name for name, attribute in _declared(shape).items() if attribute != name}


def _tripped_over(error: BaseException) -> Fault:
    """What is wrong with a value that could not be read to its end; a user's interrupt is nobody's fault."""
    if isinstance(error, PayloadInvalid) or is_interrupt(error):
        raise error
    if isinstance(error, NotJson):
        return Fault(dotted(error.path), str(error))
    return Fault("$", f"cannot be checked: {raised(error)}")
