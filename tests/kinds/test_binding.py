"""A method gets what its signature asks for; a signature that asks for something else is refused at once."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagstack_plugins import PluginContext, PluginRegistry
from dagstack_plugins.errors import PluginLoadError
from dagstack_plugins.kinds.binding import BindingFault, _signature, bind

WHOLE = {"type": "integer"}
PROPERTIES = {"a": WHOLE, "b": WHOLE, "c": {"type": "integer", "default": 3}, "class": WHOLE, "x-y": WHOLE}
SCHEMA = {"type": "object", "properties": PROPERTIES, "required": ["a"]}
CLOSED = {**SCHEMA, "additionalProperties": False}
NO_PROPERTIES = {"type": "object"}


def method(parameters: str, result: str) -> Any:
    """A class whose ``act`` has these parameters after ``self`` and returns ``result``."""
    scope: dict[str, Any] = {}
    exec(f"class Plugin:\n    def act(self{', ' if parameters else ''}{parameters}):\n        return {result}\n", scope)
    return scope["Plugin"]


# What a method gets


BY_NAME = [
    ("a", "[a]", {"a": 1}, [1]),
    ("b=0, *, a", "[a, b]", {"a": 1}, [1, 0]),
    ("b=0, *, a", "[a, b]", {"a": 1, "b": 2}, [1, 2]),
    ("a, class_=9", "[a, class_]", {"a": 1, "class": 2}, [1, 2]),
    ("a, class_=9", "[a, class_]", {"a": 1}, [1, 9]),
    ("c, a", "[c, a]", {"a": 1}, [3, 1]),
    ("c, a", "[c, a]", {"a": 1, "c": 4}, [4, 1]),
    ("a, c=8", "[a, c]", {"a": 1}, [1, 3]),  # the schema's default comes before Python's
    ("a, /", "[a]", {"a": 1}, [1]),
    ("a, b=7, /", "[a, b]", {"a": 1}, [1, 7]),
    ("a, b=7, /", "[a, b]", {"a": 1, "b": 2}, [1, 2]),
    ("a, b=7, c=8, /, class_=9", "[a, b, c, class_]", {"a": 1, "class": 2}, [1, 7, 3, 2]),
    ("a, ctx, /, b=2", "[a, type(ctx).__name__, b]", {"a": 1}, [1, "PluginContext", 2]),
    ("a, b=7, ctx=None, /", "[a, b, type(ctx).__name__]", {"a": 1}, [1, 7, "PluginContext"]),
    ("*, a", "[a]", {"a": 1}, [1]),
    ("a, **rest", "[a, rest]", {"a": 1}, [1, {"c": 3}]),
    ("a, **rest", "[a, rest]", {"a": 1, "b": 2, "own": 5, "x-y": 4}, [1, {"b": 2, "c": 3, "own": 5, "x-y": 4}]),
    ("**rest", "rest", {"a": 1, "class": 2}, {"a": 1, "c": 3, "class": 2}),
    ("ctx, **rest", "[type(ctx).__name__, rest]", {"a": 1}, ["PluginContext", {"a": 1, "c": 3}]),
    ("", "'nothing'", {"a": 1}, "nothing"),
]


@pytest.mark.parametrize(("parameters", "result", "payload", "expected"), BY_NAME)
def test_properties_by_name(workshop, parameters: str, result: str, payload: Any, expected: Any) -> None:
    registry = workshop.running(workshop.hook(SCHEMA), method(parameters, result))
    assert registry.get_plugin("sample").act(payload) == expected


@pytest.mark.parametrize("name", ["ctx", "context"])
@pytest.mark.parametrize(
    "form", ["{0}", "a, {0}", "{0}, a", "*, a, {0}", "{0}, payload", "payload, {0}", "{0}=None", "{0}, /, a"]
)
def test_the_context_is_the_plugins_own(workshop, name: str, form: str) -> None:
    plugin = method(form.format(name), name)
    plugin.setup = lambda self, context: setattr(self, "context", context)
    registry = workshop.running(workshop.hook(SCHEMA), plugin)
    context = registry.get_plugin("sample").act(1)
    assert isinstance(context, PluginContext)
    assert context.logger.name == "plugin.sample.p0"


@pytest.mark.parametrize(
    "parameters",
    ["payload", "input", "args", "anything, /", "*, everything", "ctx, self_", "payload=None", "event, context"],
)
def test_one_other_parameter_takes_the_whole_payload(workshop, parameters: str) -> None:
    name = next(
        word for word in parameters.replace("*", "").replace("/", "").split(", ") if word not in ("ctx", "context", "")
    )
    registry = workshop.running(workshop.hook(SCHEMA), method(parameters, name.partition("=")[0]))
    payload = registry.get_plugin("sample").act(1, own=2)
    assert type(payload) is registry.types("sample").ActInput
    assert payload == {"a": 1, "c": 3, "own": 2}
    assert payload.a == 1


def test_a_parameter_named_like_a_property_is_that_property_and_not_the_whole(workshop) -> None:
    assert workshop.caller(lambda self, a: a, SCHEMA)({"a": 5}) == 5


def test_without_properties_the_payload_is_a_dict(workshop) -> None:
    act = workshop.seen(NO_PROPERTIES)
    assert type(act(a=1)) is dict
    assert workshop.caller(lambda self, **rest: rest, NO_PROPERTIES)(a=1, b=[2]) == {"a": 1, "b": [2]}
    assert workshop.caller(lambda self, ctx, **rest: rest)(a=1) == {"a": 1}
    assert workshop.caller(lambda self: "nothing")(a=1) == "nothing"


def test_null_is_passed_and_what_is_left_out_is_not(workshop) -> None:
    schema = workshop.object(a={"type": ["integer", "null"]}, b={})
    act = workshop.caller(lambda self, a="default", b="default": [a, b], schema)
    assert act() == ["default", "default"]
    assert act(a=None) == [None, "default"]
    assert act(b=None) == ["default", None]
    assert workshop.caller(lambda self, a="default", /: a, schema)(a=None) is None


def test_nested_values_are_payload_objects(workshop) -> None:
    schema = workshop.object("card", card=workshop.object(n=WHOLE))
    assert workshop.caller(lambda self, card: card.n, schema)(card={"n": 5}) == 5
    assert workshop.caller(lambda self, **rest: rest["card"].n, schema)(card={"n": 5}) == 5


@pytest.mark.parametrize("validate", ["all", "off"])
def test_the_rest_may_have_any_name(workshop, validate: str) -> None:
    """Names that the signature has already get a ``_``, so that nothing is lost and nothing breaks."""

    def act(self, ctx, a, class_=0, **rest):
        return [a, rest]

    caller = workshop.caller(act, SCHEMA, validate=validate)
    given = {
        "a": 1,
        "c": 3,
        "ctx": 2,
        "self": 3,
        "class_": 4,
        "payload": 5,
        "given": 6,
        "key": 7,
        "method": 8,
        "x y": 9,
    }
    expected = {"c": 3, "ctx_": 2, "self_": 3, "payload": 5, "given": 6, "key": 7, "method": 8, "x y": 9}
    got = caller(dict(given))
    assert got[0] == 1
    assert {name: value for name, value in got[1].items() if not name.startswith("class_")} == expected


def test_a_native_name_for_self_is_no_name_of_the_rest(workshop) -> None:
    def act(this, **rest):
        return rest

    assert workshop.caller(act)({"this": 1, "self": 2}) == {"this_": 1, "self": 2}


@pytest.mark.parametrize("validate", ["all", "input", "off"])
@pytest.mark.parametrize(
    ("parameters", "result"),
    [("a, b=7", "[a, b]"), ("a, b=7, /", "[a, b]"), ("*, b=7, a", "[a, b]"), ("a, **rest", "[a, rest.get('b', 7)]")],
)
def test_the_form_is_the_same_whatever_is_checked(workshop, validate: str, parameters: str, result: str) -> None:
    registry = workshop.running(workshop.hook(SCHEMA), method(parameters, result), validate=validate)
    act, types = registry.get_plugin("sample").act, registry.types("sample")
    assert act(1) == act(a=1) == act({"a": 1}) == act(types.ActInput(1)) == [1, 7]
    assert act(1, 2) == act(b=2, a=1) == act({"b": 2, "a": 1}) == act(types.ActInput(1, 2)) == [1, 2]


# Callables of all sorts


def plain_function(a, b=7):
    return [a, b]


class Callable_:
    def __call__(self, a, b=7):
        return [a, b]


def passing_on(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Sorts:
    static = staticmethod(plain_function)
    partial = staticmethod(functools.partial(lambda zero, a, b=7: [a, b], 0))
    object = Callable_()

    @classmethod
    def of_class(cls, a, b=7):
        return [a, b]

    @passing_on
    def wrapped(self, a, b=7):
        return [a, b]

    @functools.lru_cache  # noqa: B019 - found in the wild
    def cached(self, a, b=7):
        return [a, b]

    curried = functools.partialmethod(lambda self, zero, a, b=7: [a, b], 0)


@pytest.mark.parametrize("sort", [name for name in vars(Sorts) if not name.startswith("__")])
def test_methods_of_all_sorts(workshop, sort: str) -> None:
    plugin = type("Plugin", (Sorts,), {"act": property(lambda self: getattr(self, sort))})
    registry = workshop.running(workshop.hook(SCHEMA), plugin)
    assert registry.get_plugin("sample").act(1) == [1, 7]
    assert registry.get_plugin("sample").act(b=2, a=1) == [1, 2]


def test_a_method_found_on_the_instance(workshop) -> None:
    class Plugin:
        def __init__(self) -> None:
            self.act = lambda a, ctx: [a, ctx.logger.name]

    assert workshop.running(workshop.hook(SCHEMA), Plugin).get_plugin("sample").act(1) == [1, "plugin.sample.p0"]


class AsyncSorts:
    async def method(self, a, ctx):
        await asyncio.sleep(0)
        return [a, ctx.logger.name]

    @staticmethod
    async def static(a, ctx):
        return [a, ctx.logger.name]

    async def _three(self, zero, a, ctx):
        return [a, ctx.logger.name]

    curried = functools.partialmethod(_three, 0)

    class _Object:
        async def __call__(self, a, ctx):
            return [a, ctx.logger.name]

    object = _Object()


@pytest.mark.parametrize("sort", ["method", "static", "curried", "object"])
async def test_coroutine_functions_of_all_sorts(workshop, sort: str) -> None:
    registry = workshop.registry(workshop.hook(SCHEMA))
    plugin = type("Plugin", (AsyncSorts,), {"act": property(lambda self: getattr(self, sort))})
    workshop.register(registry, plugin)
    async with registry.running():
        assert await registry.get_plugin("sample").act(1) == [1, "plugin.sample.p"]


# What is refused


REFUSED = [
    ("*args", "args"),
    ("a, *args", "args"),
    ("ctx, *args, **kwargs", "args"),
    ("a, unheard", "unheard"),
    ("payload, extra", "payload"),
    ("payload, **rest", "payload"),
    ("a, b", "'b'"),  # may be left out, and has no default
    ("a, b, /", "'b'"),
    ("a, class_", "'class_'"),
    ("a, *, b", "'b'"),
]


@pytest.mark.parametrize(("parameters", "said"), REFUSED)
def test_other_signatures_are_load_errors_that_show_signature_and_properties(
    workshop, parameters: str, said: str
) -> None:
    registry = workshop.registry(workshop.hook(SCHEMA))
    with pytest.raises(PluginLoadError) as caught:
        workshop.register(registry, method(parameters, "None"))
    error, plugin = caught.value, method(parameters, "None")()
    assert (error.kind, error.plugin, error.hook) == ("sample", "p", "act")
    assert said in str(error)
    assert str(inspect.signature(plugin.act)) in str(error)
    for name in PROPERTIES:
        if name.isidentifier():
            assert name in str(error)
    assert registry.list_manifests() == []


def test_a_payload_of_any_object_has_no_names_to_bind(workshop) -> None:
    registry = workshop.registry(workshop.hook())
    with pytest.raises(PluginLoadError, match="any object"):
        workshop.register(registry, method("a, b", "a"))


def generator(self, a):
    yield a


async def async_generator(self, a):
    yield a


class GeneratorObject:
    def __call__(self, a):
        yield a


@pytest.mark.parametrize(
    "act", [generator, async_generator, staticmethod(functools.partial(generator, None)), GeneratorObject()]
)
def test_generators_are_refused(workshop, act: Any) -> None:
    registry = workshop.registry(workshop.hook(SCHEMA))
    with pytest.raises(PluginLoadError, match="generator"):
        workshop.register(registry, type("Plugin", (), {"act": act}))


def test_a_callable_without_a_signature(workshop) -> None:
    registry: PluginRegistry = workshop.registry(workshop.hook(SCHEMA))
    with pytest.raises(PluginLoadError, match="signature"):
        workshop.register(registry, type("Plugin", (), {"act": dict}))


# A law

NAMES = ["a", "b", "class", "self", "x", "y"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_bound_gets_exactly_the_payload(workshop, data: st.DataObject) -> None:
    """For any properties and any signature made of them: the method sees each value once, or its default."""
    properties = data.draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    required = data.draw(st.sets(st.sampled_from(properties)))
    cls = workshop.types(
        {"type": "object", "properties": dict.fromkeys(properties, WHOLE), "required": sorted(required)}
    ).ActInput
    taken = data.draw(st.lists(st.sampled_from(properties), unique=True))
    kinds = {name: data.draw(st.sampled_from("/|*"), label=name) for name in taken}
    parameters = signature_of(taken, kinds, required, rest=data.draw(st.booleans()))
    function: Callable[..., Any] = eval(f"lambda {parameters}: dict(locals())")
    value = {
        name: index for index, name in enumerate(properties) if name in required or data.draw(st.booleans(), label=name)
    }
    invoke = bind(function, cls).invoker(None, typed=True)
    seen = invoke(cls.from_dict(value))
    rest = seen.pop("rest", {})
    by_property = {word.rstrip("_") if word in ("class_", "self_") else word: got for word, got in seen.items()}
    assert by_property == {name: value.get(name, "left out") for name in taken}
    if "**rest" in parameters:
        assert rest == {name: got for name, got in value.items() if name not in taken}


def signature_of(taken: list[str], kinds: dict[str, str], required: set[str], *, rest: bool) -> str:
    """Parameters of three kinds in the order that Python wants them in, with a default where one is needed."""
    words = {name: f"{name}_" if name in ("class", "self") else name for name in taken}
    # By position, those without a default come first.
    ordered = sorted(taken, key=lambda name: ("/|*".index(kinds[name]), name not in required))
    if any(name not in required for name in ordered if kinds[name] == "/"):
        ordered = sorted(ordered, key=lambda name: (kinds[name] == "*", "/|".find(kinds[name])))
    texts, need = [], False
    for name in ordered:
        need = kinds[name] != "*" and (need or name not in required)
        texts.append(words[name] + ("='left out'" if need or name not in required else ""))
    last = max((index for index, name in enumerate(ordered) if kinds[name] == "/"), default=None)
    first = next((index for index, name in enumerate(ordered) if kinds[name] == "*"), None)
    if first is not None:
        texts.insert(first, "*")
    if last is not None:
        texts.insert(last + 1, "/")
    return ", ".join([*texts, *(["**rest"] if rest else [])])


def test_binding_needs_no_payload_class_and_says_why_it_cannot_be() -> None:
    assert bind(lambda anything: anything, None).invoker(None, typed=True)({"a": 1}) == {"a": 1}
    with pytest.raises(BindingFault, match="any object"):
        bind(lambda one, two: None, None)


@pytest.mark.parametrize(("parameter", "warned"), [("nme", True), ("names", True), ("payload", False), ("n", False)])
def test_a_parameter_that_is_nearly_a_property_is_warned_of(
    workshop, caplog: pytest.LogCaptureFixture, parameter: str, warned: bool
) -> None:
    scope: dict[str, Any] = {}
    exec(f"def act(self, {parameter}): pass", scope)
    registry = workshop.registry(workshop.hook(workshop.object("name", name={"type": "string"})))
    workshop.register(registry, type("Plugin", (), {"act": scope["act"]}))
    told = [record.getMessage() for record in caplog.records]
    expected = f"plugin sample/p: {parameter!r} of act gets the whole payload, as no property is called so"
    assert told == ([f"{expected}; did you mean 'name'?"] if warned else [])


@given(st.data())
def test_an_ordinary_signature_is_read_as_python_reads_it(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(["a", "b", "c", "d", "ctx"]), unique=True, max_size=5))
    keyword_only = data.draw(st.integers(0, len(names)))
    defaults = data.draw(st.integers(0, len(names) - keyword_only))
    parts = [
        f"{name}=1" if len(names) - keyword_only - defaults <= place else name
        for place, name in enumerate(names[: len(names) - keyword_only])
    ]
    star = data.draw(st.sampled_from(["", "*args"]))
    if keyword_only or star:
        parts.append(star or "*")
    parts += [f"{name}=1" if data.draw(st.booleans()) else name for name in names[len(names) - keyword_only :]]
    if data.draw(st.booleans()):
        parts.append("**rest")
    scope: dict[str, Any] = {}
    exec(
        f"class Plugin:\n    def act({', '.join(['self', *parts])}):\n        local = 1\n        return local\n", scope
    )
    bound = scope["Plugin"]().act
    ours, pythons = _signature(bound), inspect.signature(bound)

    def told(signature: inspect.Signature) -> list[Any]:
        return [(one.name, one.kind, one.default is one.empty) for one in signature.parameters.values()]

    assert told(ours) == told(pythons)


def test_a_hook_is_no_slip_of_another_one(workshop, caplog: pytest.LogCaptureFixture) -> None:
    hooks = [{"name": "charge", "dispatch": "singleton"}, {"name": "charged", "dispatch": "broadcast_notify"}]
    registry = workshop.registry(workshop.spec(*hooks))
    workshop.register(registry, type("Plugin", (), {"charge": lambda self, payload: payload}))
    assert caplog.records == []
