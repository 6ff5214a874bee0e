"""capability: the plugin that fits the payload answers."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagstack_plugins import AmbiguousPlugin, KindUnknown, NoCapabilityMatch, PluginError, PluginState

MATCH = {
    "language": "supports_languages",
    "extension": "supports_extensions",
    "mime_type": "supports_mime_types",
    "region": "supports.region",
}


def says(name: Any) -> Any:
    return lambda self, payload: name


def noting(asked: list[Any], name: Any, *, verdict: Any) -> Any:
    """A ``matches`` that notes that it was asked."""
    return lambda self, payload: asked.append(name) or verdict


@pytest.fixture
def host(new_host: Any) -> Any:
    return new_host({"index": {"dispatch": "capability"}})


@pytest.fixture
def regional(new_host: Any) -> Any:
    return new_host({"index": {"dispatch": "capability", "match": MATCH}})


# Nobody


async def test_without_any_plugin_the_kind_is_unknown_and_without_usable_ones_nothing_matches(host: Any) -> None:
    with pytest.raises(KindUnknown):
        host.call("index", language="python")
    host.add("a", index=says("a"), supports_languages=["python"])
    with pytest.raises(NoCapabilityMatch, match="setup_all"):
        host.call("index", language="python")


async def test_no_match_tells_what_was_looked_for_and_what_there_is(host: Any) -> None:
    host.add("a", index=says("a"), supports_languages=["python"], supports_extensions=[".py"])
    async with host.registry.running():
        with pytest.raises(NoCapabilityMatch, match="python") as caught:
            host.call("index", language="cobol", path="src/a.CBL")
    assert caught.value.looked_for == {"language": "cobol", "extension": "cbl"}
    assert (caught.value.kind, caught.value.hook) == ("greeter", "index")


async def test_a_payload_without_any_of_the_fields_matches_nobody(host: Any) -> None:
    host.add("a", index=says("a"), supports_languages=["python"])
    async with host.registry.running():
        for payload in ({}, {"other": 1}, {"language": None}, {"path": "Makefile"}, {"path": ".profile"}, {"path": 7}):
            with pytest.raises(NoCapabilityMatch) as caught:
                host.call("index", payload)
            assert caught.value.looked_for == {}


async def test_plugins_that_list_nothing_match_nothing(host: Any) -> None:
    host.add("a", index=says("a"))
    async with host.registry.running():
        with pytest.raises(NoCapabilityMatch):
            host.call("index", language="python", extension="py", mime_type="text/plain")


# The rule


@pytest.mark.parametrize(
    ("lists", "payload", "fits"),
    [
        ({"supports_languages": ["python"]}, {"language": "python"}, True),
        ({"supports_languages": ["python"]}, {"language": "Python"}, False),
        ({"supports_languages": ["go", "python"]}, {"language": "python", "extension": "py"}, True),
        (
            {"supports_languages": ["python"], "supports_extensions": ["pyi"]},
            {"language": "python", "extension": "py"},
            False,
        ),
        (
            {"supports_languages": ["python"], "supports_extensions": ["py"]},
            {"language": "python", "extension": "py"},
            True,
        ),
        ({"supports_languages": ["python"], "supports_extensions": ["py"]}, {"language": "python"}, True),
        (
            {"supports_languages": ["python"], "supports_extensions": ["py"]},
            {"language": "go", "extension": "py"},
            False,
        ),
        ({"supports_extensions": [".py"]}, {"extension": "py"}, True),
        ({"supports_extensions": ["py"]}, {"extension": ".py"}, True),
        ({"supports_extensions": [".PY"]}, {"extension": "py"}, True),
        ({"supports_extensions": ["py"]}, {"extension": ".Py"}, True),
        ({"supports_extensions": ["py"]}, {"path": "src/a.PY"}, True),
        ({"supports_extensions": ["py"]}, {"filename": "a.py"}, True),
        ({"supports_extensions": ["py"]}, {"path": "a.go", "filename": "a.py"}, False),
        ({"supports_extensions": ["py"]}, {"path": "Makefile", "filename": "a.py"}, True),
        ({"supports_extensions": ["py"]}, {"extension": "go", "path": "a.py"}, False),
        ({"supports_extensions": ["py"]}, {"extension": None, "path": "a.py"}, True),
        ({"supports_extensions": ["py"]}, {"path": "src.py/Makefile"}, False),
        ({"supports_extensions": ["py"]}, {"path": "happy"}, False),
        ({"supports_extensions": ["gz"]}, {"path": "a.tar.gz"}, True),
        ({"supports_extensions": [".tar.gz"]}, {"path": "a.tar.gz"}, True),
        ({"supports_extensions": ["tar"]}, {"path": "a.tar.gz"}, False),
        ({"supports_extensions": ["pdf"]}, {"path": "report v1.2.pdf"}, True),
        ({"supports_mime_types": ["text/html"]}, {"mime_type": "TEXT/Html"}, True),
        ({"supports_mime_types": ["Text/*"]}, {"mime_type": "text/html"}, True),
        ({"supports_mime_types": ["text/*"]}, {"mime_type": "textual/html"}, False),
        ({"supports_mime_types": ["text/html"]}, {"mime_type": "text/html; charset=utf-8"}, True),
        ({"supports_mime_types": ["text/*", "text/html"]}, {"mime_type": "text/html"}, True),
        ({"supports": {"region": ["eu", "us"]}}, {"region": "us"}, True),
        ({"supports": {"region": "eu"}}, {"region": "eu"}, True),
        ({"supports": {"region": "europe"}}, {"region": "eu"}, False),
        ({"supports": {"region": [1]}}, {"region": 1.0}, True),
        ({"supports": {"region": [1]}}, {"region": True}, False),
        ({"supports": {"region": [False]}}, {"region": 0}, False),
        ({"supports": {"region": True}}, {"region": True}, True),
        ({"supports": {"region": []}}, {"region": "eu"}, False),
        ({"supports": {"region": []}, "supports_languages": ["go"]}, {"region": "eu", "language": "go"}, True),
        ({"supports": {"region": ["eu"]}}, {"region": ["eu"]}, False),
        ({"supports": {"region": ["eu"]}}, {"region": {"name": "eu"}}, False),
        ({"supports": {"region": {"name": "eu"}}}, {"region": {"name": "eu"}}, True),
        ({"supports": {"region": [["eu"], {"a": [1]}]}}, {"region": {"a": [1]}}, True),
        ({"supports": {"region": [["eu"], {"a": [1]}]}}, {"region": {"a": [2]}}, False),
        ({"supports_languages": ["go"]}, {"language": ["go"]}, False),
    ],
    ids=str,
)
async def test_every_field_that_is_carried_and_listed_must_be_listed_and_one_is_needed(
    regional: Any, lists: dict[str, Any], payload: dict[str, Any], fits: bool
) -> None:
    regional.add("a", index=says("a"), **lists)
    regional.add("rest", index=says("rest"), fallback=True)
    async with regional.registry.running():
        assert regional.call("index", payload) == ("a" if fits else "rest")


async def test_only_fields_that_the_kind_names_count(new_host: Any) -> None:
    host = new_host({"index": {"dispatch": "capability", "match": {"tongue": "supports_languages"}}})
    host.add("a", index=says("a"), supports_languages=["go"], supports_extensions=["go"])
    async with host.registry.running():
        assert host.call("index", tongue="go", language="cobol") == "a"
        with pytest.raises(NoCapabilityMatch):
            host.call("index", language="go", path="a.go")


async def test_several_fit_and_the_first_in_order_answers(host: Any) -> None:
    host.add("b", index=says("b"), supports_languages=["go"])
    host.add("a", index=says("a"), supports_extensions=["go"])
    host.add("late", index=says("late"), supports_languages=["go"], priority=9, trylast=True)
    async with host.registry.running() as registry:
        assert host.call("index", language="go", extension="go") == "a"
        host.add("top", index=says("top"), supports_mime_types=["text/*"], priority=9)
        await registry.setup_all()
        assert host.call("index", language="go", extension="go", mime_type="text/x-go") == "top"


async def test_a_typed_payload_is_read_as_well_as_a_mapping(new_host: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"language": {"type": "string"}, "path": {"type": "string"}, "class": {"type": "string"}},
    }
    match = {"language": "supports_languages", "extension": "supports_extensions", "class": "supports.class"}
    host = new_host({"index": {"dispatch": "capability", "input_schema": schema, "match": match}})
    host.add("a", index=says("a"), supports_languages=["go"])
    host.add("b", index=says("b"), supports_extensions=["py"])
    host.add("c", index=says("c"), supports={"class": ["upper"]})
    async with host.registry.running() as registry:
        typed = registry.types("greeter").IndexInput
        assert host.call("index", typed(language="go")) == "a"
        assert host.call("index", path="x.py") == "b"
        assert host.call("index", {"class": "upper"}) == "c"


@pytest.mark.parametrize("validate", ["all", "input", "off"])
async def test_matching_needs_no_validation(new_host: Any, validate: str) -> None:
    host = new_host({"index": {"dispatch": "capability"}}, validate=validate)
    host.add("a", index=says("a"), supports_languages=["go"], matches=lambda self, payload: payload["wanted"])
    async with host.registry.running():
        assert host.call("index", language="go", wanted=True) == "a"
        with pytest.raises(NoCapabilityMatch):
            host.call("index", language="go", wanted=False)


async def test_plugins_without_the_hook_are_not_chosen(new_host: Any) -> None:
    host = new_host(
        {"index": {"dispatch": "capability", "required": False}, "other": {"selection": "named", "required": False}}
    )
    host.add("a", other=says("a"), supports_languages=["go"], priority=9, fallback=True)
    async with host.registry.running() as registry:
        with pytest.raises(NoCapabilityMatch):
            host.call("index", language="go")
        host.add("b", index=says("b"), supports_languages=["go"])
        await registry.setup_all()
        assert host.call("index", language="go") == "b"
        with pytest.raises(NoCapabilityMatch):
            host.call("index", language="cobol")


# matches


async def test_matches_is_asked_last_of_those_only_and_in_order(host: Any) -> None:
    asked: list[str] = []

    for priority, (name, languages) in enumerate(
        {"e": [], "d": ["go"], "c": ["go"], "b": ["go"], "a": ["cobol"]}.items()
    ):
        matches = noting(asked, name, verdict=name != "b")
        host.add(name, index=says(name), matches=matches, supports_languages=languages, priority=priority)
    async with host.registry.running():
        assert host.call("index", language="go") == "c"
    assert asked == ["b", "c"]


async def test_matches_is_asked_once_however_many_values_fit(host: Any) -> None:
    asked: list[str] = []
    lists = {"supports_mime_types": ["text/html", "text/*"], "supports_extensions": ["gz", "tar.gz"]}
    host.add("a", index=says("a"), matches=noting(asked, "a", verdict=False), **lists)
    async with host.registry.running():
        for payload in ({"mime_type": "text/html"}, {"path": "a.tar.gz"}):
            with pytest.raises(NoCapabilityMatch):
                host.call("index", payload)
    assert asked == ["a", "a"]


async def test_a_refusal_of_all_leaves_it_to_the_fallback_who_is_not_asked(host: Any) -> None:
    host.add("a", index=says("a"), matches=lambda self, payload: False, supports_languages=["go"])
    host.add("rest", index=says("rest"), matches=lambda self, payload: False, fallback=True)
    async with host.registry.running():
        assert host.call("index", language="go") == "rest"


async def test_what_matches_raises_is_told_like_any_error_of_a_plugin(host: Any) -> None:
    error: list[BaseException] = []

    def matches(self: Any, payload: Any) -> bool:
        raise error[-1]

    host.add("a", index=says("a"), matches=matches, supports_languages=["go"])
    async with host.registry.running() as registry:
        error.append(ValueError("unreadable"))
        with pytest.raises(ValueError, match="unreadable") as caught:
            host.call("index", language="go")
        assert caught.value is error[-1]
        assert any("'a'" in note and "'index'" in note for note in caught.value.__notes__)
        error.append(SystemExit(2))
        with pytest.raises(PluginError) as exited:
            await registry.kind("greeter").aio.index(language="go")
        assert (exited.value.plugin, exited.value.error_type) == ("a", "SystemExit")


async def test_matches_may_take_the_context(host: Any) -> None:
    host.add(
        "a",
        index=says("a"),
        matches=lambda self, payload, ctx: ctx.metadata["tenant"] == "acme",
        supports_languages=["go"],
    )
    async with host.registry.running() as registry:
        with registry.metadata(tenant="acme"):
            assert host.call("index", language="go") == "a"
        with registry.metadata(tenant="other"), pytest.raises(NoCapabilityMatch):
            host.call("index", language="go")


# Fallback and require


async def test_the_fallback_answers_what_nobody_matches_and_may_match_itself(host: Any) -> None:
    host.add("a", index=says("a"), supports_languages=["go"])
    host.add("rest", index=says("rest"), fallback=True, supports_languages=["go"], priority=9)
    async with host.registry.running():
        assert host.call("index") == host.call("index", language="cobol") == "rest"
        assert host.call("index", language="go") == "rest"


async def test_two_fallbacks_are_told_at_setup_and_nothing_starts(host: Any) -> None:
    for name in ("a", "b"):
        host.add(name, index=says(name), fallback=True)
    with pytest.raises(AmbiguousPlugin, match="fallback") as caught:
        await host.registry.setup_all()
    assert caught.value.candidates == ("a", "b")
    assert set(host.states().values()) == {PluginState.REGISTERED}


async def test_a_second_fallback_that_comes_later_does_not_start(host: Any) -> None:
    host.add("a", index=says("a"), fallback=True)
    async with host.registry.running() as registry:
        host.add("b", index=says("b"), fallback=True)
        assert host.call("index") == "a"
        with pytest.raises(AmbiguousPlugin):
            await registry.setup_all()
        assert host.call("index") == "a"
        assert host.states()["b"] is PluginState.REGISTERED


async def test_two_fallbacks_are_fine_where_nothing_is_routed_by_capability(new_host: Any) -> None:
    host = new_host({"index": {"dispatch": "chain"}})
    for name in ("a", "b"):
        host.add(name, index=lambda self, payload: payload, fallback=True)
    await host.registry.setup_all()
    assert set(host.states().values()) == {PluginState.READY}


async def test_require_keeps_plugins_with_those_capabilities_and_binds_the_fallback_too(host: Any) -> None:
    host.add("a", index=says("a"), supports_languages=["go"], priority=9)
    host.add("b", index=says("b"), supports_languages=["go"], capabilities=["pii", "eu"])
    host.add("rest", index=says("rest"), fallback=True, capabilities=["eu"])
    async with host.registry.running() as registry:
        assert registry.kind("greeter").index(language="go") == "a"
        assert registry.kind("greeter", require={"pii"}).index(language="go") == "b"
        assert registry.kind("greeter", require=["eu"]).index(language="cobol") == "rest"
        with pytest.raises(NoCapabilityMatch, match="pii"):
            registry.kind("greeter", require={"pii"}).index(language="cobol")
        with pytest.raises(NoCapabilityMatch, match="none"):
            registry.kind("greeter", require={"none"}).index(language="go")


async def test_one_string_is_no_collection_of_capabilities(host: Any) -> None:
    with pytest.raises(TypeError, match="several"):
        host.registry.kind("greeter", require="pii")


async def test_capabilities_route_nothing_by_themselves(host: Any) -> None:
    host.add("a", index=says("a"), capabilities=["python"])
    async with host.registry.running():
        with pytest.raises(NoCapabilityMatch):
            host.call("index", language="python")


# Cost


def calls_made_by(function: Any) -> int:
    """How many functions run, Python's and C's: what a machine's speed has no say in."""
    count = 0

    def note(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    gc.disable()  # what a collection finalizes just then is not the call's doing
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


def test_plugins_that_share_no_listed_value_cost_a_call_nothing(new_host: Any) -> None:
    def cost(others: int) -> int:
        host = new_host({"index": {"dispatch": "capability", "match": MATCH}})
        host.add("a", index=says("a"), supports_languages=["go"], supports_extensions=["go"])
        host.add("b", index=says("b"), supports_mime_types=["text/*"])
        for place in range(others):
            host.add(f"other{place}", index=says("x"), supports_languages=[f"l{place}"], supports_extensions=["py"])
            host.add(f"more{place}", index=says("x"), supports_mime_types=[f"image/x-{place}"], priority=3)
        asyncio.run(host.registry.setup_all())
        hook = host.registry.kind("greeter").index
        payload = {"language": "go", "path": "a.go", "mime_type": "text/plain"}
        assert hook(payload) == "a"
        return calls_made_by(lambda: hook(payload))

    assert cost(2) == cost(200)


# The law: the index finds what asking each plugin would find.

LANGUAGES = ["go", "python", "Python"]
EXTENSIONS = ["py", ".PY", "gz", ".tar.gz", "md"]
MIME_TYPES = ["text/html", "TEXT/*", "text/plain", "image/*", "image/png"]
REGIONS = ["eu", "us", 1]


def some(values: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True)


manifests = st.lists(
    st.fixed_dictionaries(
        {
            "supports_languages": some(LANGUAGES),
            "supports_extensions": some(EXTENSIONS),
            "supports_mime_types": some(MIME_TYPES),
            "supports": st.fixed_dictionaries({}, optional={"region": some(REGIONS) | st.sampled_from(REGIONS)}),
            "capabilities": some(["pii", "eu"]),
            "priority": st.integers(0, 2),
        }
    ),
    min_size=1,
    max_size=7,
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "language": st.sampled_from([*LANGUAGES, None]),
        "extension": st.sampled_from([*EXTENSIONS, "tar", None]),
        "path": st.sampled_from(["a.py", "x/a.tar.gz", "a.b/c", "README.MD", ".py"]),
        "filename": st.sampled_from(["b.py", "b"]),
        "mime_type": st.sampled_from(["text/html", "Text/Plain", "image/gif", "audio/ogg"]),
        "region": st.sampled_from([*REGIONS, "asia", ["eu"]]),
    },
)


def extension_of(payload: Mapping[str, Any]) -> str | None:
    if payload.get("extension") is not None:
        return str(payload["extension"])
    for source in ("path", "filename"):
        name = payload.get(source, "").rpartition("/")[2]
        if "." in name[1:]:
            return name.partition(".")[2] if name[0] != "." else name[1:].partition(".")[2]
    return None


def extension_fits(value: str, listed: str) -> bool:
    value, listed = value.lower().removeprefix("."), listed.lower().removeprefix(".")
    return value == listed or value.endswith(f".{listed}")


def mime_type_fits(value: str, listed: str) -> bool:
    value, listed = value.lower(), listed.lower()
    return value == listed or (listed.endswith("/*") and value.split("/")[0] == listed[:-2])


def fits(manifest: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """The rule, asked of one plugin."""
    region = manifest["supports"].get("region", [])
    verdicts = [
        any(same(value, one) for one in listed)
        for value, listed, same in (
            (payload.get("language"), manifest["supports_languages"], lambda a, b: a == b),
            (extension_of(payload), manifest["supports_extensions"], extension_fits),
            (payload.get("mime_type"), manifest["supports_mime_types"], mime_type_fits),
            (payload.get("region"), region if isinstance(region, list) else [region], lambda a, b: a == b),
        )
        if value is not None and listed
    ]
    return bool(verdicts) and all(verdicts)


@settings(max_examples=300)
@given(
    manifests=manifests,
    payloads=st.lists(payloads, min_size=1, max_size=6),
    wants=st.lists(st.sampled_from([None, True, False]), min_size=7, max_size=7),
    fallback=st.none() | st.integers(0, 6),
    require=st.sampled_from([set(), {"pii"}, {"pii", "eu"}]),
)
def test_the_index_finds_what_asking_each_plugin_would_find(
    new_host: Any,
    manifests: list[dict[str, Any]],
    payloads: list[dict[str, Any]],
    wants: list[bool | None],
    fallback: int | None,
    require: set[str],
) -> None:
    host = new_host({"index": {"dispatch": "capability", "match": MATCH}})
    asked: list[int] = []
    for place, manifest in enumerate(manifests):
        methods = {"index": says(place)}
        if wants[place] is not None:
            methods["matches"] = noting(asked, place, verdict=wants[place])
        host.add(f"p{place}", **methods, **manifest, fallback=place == fallback)
    asyncio.run(host.registry.setup_all())
    hook = host.registry.kind("greeter", require=require).index
    order = sorted(range(len(manifests)), key=lambda place: (-manifests[place]["priority"], place))
    kept = [place for place in order if require <= set(manifests[place]["capabilities"])]

    for payload in payloads:
        fitting = [place for place in kept if fits(manifests[place], payload)]
        willing = [place for place in fitting if wants[place] is not False]
        expected = willing[0] if willing else fallback if fallback in kept else None
        asked.clear()
        if expected is None:
            with pytest.raises(NoCapabilityMatch):
                hook(payload)
        else:
            assert hook(payload) == expected
        before = fitting[: fitting.index(willing[0]) + 1] if willing else fitting
        assert asked == [place for place in before if wants[place] is not None]


def test_a_name_of_many_dots_costs_no_more_than_its_length(new_host: Any) -> None:
    host = new_host({"read": {"dispatch": "capability"}})
    host.add("archive", read=lambda self, payload: "archive", supports_extensions=["tar.gz"])
    host.add("compressed", read=lambda self, payload: "compressed", supports_extensions=["gz"], priority=1)
    host.add("plain", read=lambda self, payload: "plain", supports_extensions=["x.y.z"])
    with host.registry.running():
        read = host.registry.kind("greeter").read
        assert read(path="a.x.tar.gz") == "compressed"
        name = ".a" * 20_000
        tracemalloc.start()
        try:
            assert read(extension=name + ".x.y.z") == "plain"
            with pytest.raises(NoCapabilityMatch):
                read(extension=name)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 100 * len(name)
