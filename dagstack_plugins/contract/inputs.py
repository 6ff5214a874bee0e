"""Values that a JSON Schema admits, as hypothesis strategies: drawn, and made small where one shows a fault.

Of 2020-12 everything that makes values is understood; what only rejects them (``not``, ``dependentRequired``, …) is
left to the validator, which has the last word on all values anyway.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from dagstack_plugins.kinds.schemas import Schema, SchemaFault, SchemaFiles

Strategy = st.SearchStrategy[Any]
IsValid = Callable[[Any], bool]

_LETTERS: Final = st.characters(exclude_categories=["Cs"])
TEXT: Final = st.text(_LETTERS)
_SCALAR: Final = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
ANY: Final = st.recursive(
    _SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
"""Any JSON at all."""
_TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
_SAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"),
}
"""Keywords that speak of values of one type; a schema that has one, and names no type, is likely meant for those."""
_SAYS_NOTHING: Final = frozenset(
    {"$defs", "definitions", "description", "title", "$comment", "$schema", "$anchor", "default", "examples"}
)
_UNDER: Final = 2**63
_LONG: Final = 2000
"""Characters of a text that isn't made as long as it may be."""


class NoInput(Exception):
    """Nothing was found that a schema admits; the message says why."""


def strategy(schema: Schema, files: SchemaFiles, is_valid: IsValid) -> Strategy:
    """Values of a schema.

    Args:
        schema: the schema.
        files: what its references lead to.
        is_valid: has the last word.
    """
    return _Reader(files).of(schema).filter(is_valid)


def samples(values: Strategy, number: int, random_seed: int) -> list[Any]:
    """Some values, always the same ones for the same seed; each once.

    Raises:
        NoInput: if there is none.
    """
    found: dict[str, Any] = {}

    @seed(random_seed)
    @settings(
        max_examples=max(number, 10),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(values)
    def draw(value: Any) -> None:
        found.setdefault(json.dumps(value), value)

    try:
        draw()
    except HypothesisException as error:
        raise NoInput(f"nothing was found that fits the input's schema ({type(error).__name__})") from None
    if not found:
        raise NoInput("nothing fits the input's schema")
    return list(found.values())[:number]


def warm_up() -> None:
    """Have hypothesis build its tables of characters."""
    samples(TEXT, 1, 0)


class _Reader:
    """Reads schemas; those that are referred to, once each, so that they may refer to themselves."""

    def __init__(self, files: SchemaFiles) -> None:
        self._files = files
        self._read: dict[tuple[str, int], Strategy] = {}
        self._kept: list[Any] = []

    def of(self, schema: Schema) -> Strategy:
        body = schema.body
        if body is False:
            return st.nothing()
        if not isinstance(body, dict):
            return ANY
        if (choice := self._choice(schema)) is not None:
            return st.one_of([self._once(one) for one in choice])
        if "const" in body:
            return st.just(body["const"])
        if "enum" in body:
            return st.sampled_from(body["enum"])
        return st.one_of([self._typed(schema, name) for name in _types(body)])

    def _choice(self, schema: Schema) -> list[Schema] | None:
        """The schema as a choice of simpler ones, with one keyword less that combines schemas; ``None`` without any."""
        body = dict(schema.body)
        ref = body.pop("$ref", body.pop("$dynamicRef", None))
        if ref is not None:
            target = self._target(schema, ref)
            beside = {keyword: value for keyword, value in body.items() if keyword not in _SAYS_NOTHING}
            return [target.part(_both(target.body, beside)) if beside else target]
        if "allOf" in body:
            whole: Any = body
            for part in body.pop("allOf"):
                whole = _both(whole, self._followed(schema, part))
            return [schema.part(whole)]
        for keyword in ("anyOf", "oneOf"):
            if keyword in body:
                parts = [self._followed(schema, part) for part in body.pop(keyword)]
                return [schema.part(_both(body, part)) for part in parts]
        if "if" in body:
            condition, then, otherwise = (
                self._followed(schema, body.pop(name, True)) for name in ("if", "then", "else")
            )
            return [schema.part(_both(_both(body, condition), then)), schema.part(_both(body, otherwise))]
        return None

    def _followed(self, schema: Schema, body: Any) -> Any:
        """A part that is nothing but a reference, replaced by what it leads to if that is in the same document."""
        if isinstance(body, dict) and set(body) == {"$ref"}:
            target = self._target(schema, body["$ref"])
            if target.root is schema.root:
                return target.body
        return body

    def _target(self, schema: Schema, ref: str) -> Schema:
        try:
            return self._files.resolve(schema, ref)
        except SchemaFault as error:
            raise NoInput(f"the input's schema can't be read: {error}") from None

    def _once(self, schema: Schema) -> Strategy:
        """Read a schema that may contain itself."""
        key = schema.file, id(schema.body)
        if key not in self._read:
            self._read[key] = st.deferred(lambda: made)
            self._kept.append(schema.body)  # while it lives, nothing else has its identity
            made = self.of(schema)
        return self._read[key]

    def _typed(self, schema: Schema, name: str) -> Strategy:
        body = schema.body
        match name:
            case "null":
                return st.none()
            case "boolean":
                return st.booleans()
            case "integer":
                return _integers(body)
            case "number":
                return _floats(body) | _integers(body)
            case "string":
                return _strings(body)
            case "array":
                return self._arrays(schema)
        return self._objects(schema)

    def _arrays(self, schema: Schema) -> Strategy:
        body = schema.body
        first = [self.of(schema.part(part)) for part in body.get("prefixItems", ())]
        least, most = body.get("minItems", 0), body.get("maxItems")
        items = body.get("items", True)
        rest = st.nothing() if items is False else self.of(schema.part(items))
        unique = {"unique_by": _canonical} if body.get("uniqueItems") else {}
        room = None if most is None else max(0, most - len(first))
        if items is False or room == 0:
            more: Strategy = st.just([])
        else:
            low = max(0, least - len(first))
            high = low + 5 if room is None else min(room, low + 5)
            more = st.lists(rest, min_size=low, max_size=high, **unique)  # type: ignore[arg-type]
        if isinstance(wanted := body.get("contains"), dict):
            more = st.tuples(more, self.of(schema.part(wanted))).map(lambda pair: [*pair[0], pair[1]])
        return st.tuples(st.tuples(*first), more).map(lambda both: [*both[0], *both[1]])

    def _objects(self, schema: Schema) -> Strategy:
        body = schema.body
        declared = body.get("properties", {})
        required = list(body.get("required", ()))
        values = {name: self.of(schema.part(part)) for name, part in declared.items() if part is not False}
        others = body.get("additionalProperties", body.get("unevaluatedProperties", True))
        patterns = body.get("patternProperties", {})
        for name in required:
            if name not in values:
                values[name] = self.of(schema.part(others)) if others is not False else ANY
        must = {name: values[name] for name in required}
        may = {name: value for name, value in values.items() if name not in must}
        fixed = st.fixed_dictionaries(must, optional=may)
        extra = self._extra(schema, others, patterns, set(declared), body)
        return fixed if extra is None else st.tuples(extra, fixed).map(lambda both: {**both[0], **both[1]})

    def _extra(
        self, schema: Schema, others: Any, patterns: Mapping[str, Any], declared: set[str], body: Mapping[str, Any]
    ) -> Strategy | None:
        """Properties beyond the declared ones, where there may be any."""
        names = body.get("propertyNames", True)
        pairs = []
        if others is not False:
            name = TEXT if names is True else self.of(schema.part({"type": "string", **names}))
            pairs.append(st.tuples(name.filter(lambda key: key not in declared), self.of(schema.part(others))))
        for pattern, part in patterns.items():
            pairs.append(st.tuples(_matching(pattern), self.of(schema.part(part))))
        if not pairs:
            return None
        least = max(0, body.get("minProperties", 0) - len(declared))
        most = max(least, min(3, body.get("maxProperties", 3)))
        return st.lists(st.one_of(pairs), min_size=least, max_size=most, unique_by=lambda pair: pair[0]).map(dict)


def _types(body: Mapping[str, Any]) -> Sequence[str]:
    given_type = body.get("type")
    if isinstance(given_type, str):
        return [given_type]
    if given_type is not None:
        return list(given_type)
    spoken_of = [name for name, keywords in _SAYS.items() if any(keyword in body for keyword in keywords)]
    return spoken_of or _TYPES


def _both(one: Any, other: Any) -> Any:
    """A schema that asks for at least what each of two asks for, as far as that can be said simply."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other if one is True else one if other is True else False
    made = dict(one)
    for keyword, value in other.items():
        made[keyword] = _narrowed(keyword, made[keyword], value) if keyword in made else value
    return made


def _narrowed(keyword: str, one: Any, other: Any) -> Any:
    match keyword:
        case "required":
            return list(dict.fromkeys([*one, *other]))
        case "properties":
            return {**one, **{name: _both(one.get(name, True), part) for name, part in other.items()}}
        case "type":
            mine, others = ([one] if isinstance(one, str) else one), ([other] if isinstance(other, str) else other)
            both = [name for name in mine if name in others or (name == "integer" and "number" in others)]
            return both or ["integer"] if "integer" in others and "number" in mine else both
        case "enum":
            return [value for value in one if value in other]
        case "allOf":
            return [*one, *other]
        case "items" | "additionalProperties":
            return _both(one, other)
    if keyword.startswith("min") or keyword == "exclusiveMinimum":
        return max(one, other)
    if keyword.startswith("max") or keyword == "exclusiveMaximum":
        return min(one, other)
    return other


def _integers(body: Mapping[str, Any]) -> Strategy:
    lows = [math.ceil(body.get("minimum", -_UNDER)), math.floor(body.get("exclusiveMinimum", -_UNDER - 1)) + 1]
    highs = [math.floor(body.get("maximum", _UNDER)), math.ceil(body.get("exclusiveMaximum", _UNDER + 1)) - 1]
    step = body.get("multipleOf", 1)
    step = int(step) if step == int(step) else 1
    first, last = -(-max(lows) // step), min(highs) // step
    return st.integers(first, last).map(lambda times: times * step) if first <= last else st.nothing()


def _floats(body: Mapping[str, Any]) -> Strategy:
    low, above = body.get("minimum"), body.get("exclusiveMinimum")
    high, below = body.get("maximum"), body.get("exclusiveMaximum")
    lows = [bound for bound in (low, above) if bound is not None]
    highs = [bound for bound in (high, below) if bound is not None]
    step = body.get("multipleOf")
    if step:
        return st.integers(-1000, 1000).map(lambda times: times * step)
    return st.floats(
        min_value=float(max(lows)) if lows else None,
        max_value=float(min(highs)) if highs else None,
        allow_nan=False,
        allow_infinity=False,
    )


_FORMATS: Final[Mapping[str, Strategy]] = {
    "date": st.dates().map(str),
    "date-time": st.datetimes(timezones=st.just(UTC)).map(lambda when: when.isoformat()),
    "time": st.times().map(lambda when: f"{when.isoformat()}Z"),
    "duration": st.integers(0, 10**6).map(lambda seconds: f"PT{seconds}S"),
    "uuid": st.uuids().map(str),
    "email": st.emails(),
    "idn-email": st.emails(),
    "ipv4": st.ip_addresses(v=4).map(str),
    "ipv6": st.ip_addresses(v=6).map(str),
    "hostname": st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True),
    "uri": st.from_regex(
        r"https?://[a-z]{1,10}\.(example|test)(/[a-z0-9._~-]{0,8}){0,3}(\?[a-z]=[0-9])?", fullmatch=True
    ),
    "json-pointer": st.from_regex(r"(/[a-z0-9]{0,5}){0,3}", fullmatch=True),
    "regex": st.sampled_from(["", "a", "^a+$", "[a-z]*", r"\d{1,3}", "(a|b)?"]),
}
_ALSO: Final = {
    "idn-hostname": "hostname",
    "iri": "uri",
    "iri-reference": "uri",
    "relative-json-pointer": "regex",
    "uri-reference": "uri",
}


def _strings(body: Mapping[str, Any]) -> Strategy:
    least, most = body.get("minLength", 0), body.get("maxLength")
    if pattern := body.get("pattern"):
        found = _matching(pattern)
    elif (name := _ALSO.get(body.get("format", ""), body.get("format"))) in _FORMATS:
        found = _FORMATS[name]  # type: ignore[index]
    else:
        any_length = st.text(_LETTERS, min_size=least, max_size=most)
        if most is None or most > _LONG:
            return any_length
        return any_length | st.text(_LETTERS, min_size=most, max_size=most)  # bounds are where slips are
    return found.filter(lambda text: least <= len(text) <= (math.inf if most is None else most))


def _matching(pattern: str) -> Strategy:
    try:
        return st.from_regex(pattern, alphabet=_LETTERS)
    except Exception:  # a pattern of ECMA-262 that Python doesn't know
        return TEXT


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
