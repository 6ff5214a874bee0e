"""capability: the plugin that fits the payload answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from heapq import merge
from pathlib import PurePath
from typing import Any, Final

import attrs

from dagstack_plugins.dispatch.base import Answer, HookDispatcher
from dagstack_plugins.dispatch.choosing import one_of
from dagstack_plugins.dispatch.implementation import Implementation, failer
from dagstack_plugins.dispatch.table import Table
from dagstack_plugins.errors import AmbiguousPlugin, NoCapabilityMatch
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.kinds.payload import Payload, plain
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.wording import shown

Choose = Callable[[Any], Implementation]
Keys = tuple[Any, ...]
"""The forms in which a payload's value may be listed: ``text/html`` also as ``text/*``."""


class CapabilityDispatcher(HookDispatcher):
    """A capability hook: the first plugin that fits the payload answers, or else the fallback."""

    dispatch = Dispatch.CAPABILITY

    def answer(self, table: Table) -> Answer:
        """Choose by the payload, then let the chosen one answer."""
        if not any(self.hook in plugin.bindings for plugin in table.usable):
            raise self._no_match(table, {}) if table.has_plugins else table.nobody(self.hook)
        plugins = [plugin for plugin in table.usable if self.hook in plugin.bindings]
        asked = [plugin for plugin in plugins if plugin.matches is not None]
        return one_of(self._chooser(table, plugins), table.traffic, {*plugins, *table.middleware}, asked)

    def _chooser(self, table: Table, plugins: Sequence[Plugin]) -> Choose:
        index = CapabilityIndex(plugins, table.hook(self.hook).match)
        typed = table.compiled.codecs[self.hook].typed
        wants = [_matcher(plugin, self.hook, typed=typed) for plugin in plugins]
        made = table.implementations(self.hook)
        last = fallback_of(table, plugins)
        fallback = None if last is None else table.implementation(last, self.hook)

        def choose(payload: Any) -> Implementation:
            carried = index.carried(payload)
            for place in index.matching(carried):
                want = wants[place]
                if want is None or want(payload):
                    return made[place]
            if fallback is None:
                raise self._no_match(table, carried)
            return fallback

        return choose

    def _no_match(self, table: Table, carried: Mapping[str, Keys]) -> NoCapabilityMatch:
        fields = table.hook(self.hook).match
        values = {field: keys[0].value if isinstance(keys[0], _Json) else keys[0] for field, keys in carried.items()}
        told = "".join(
            f"\n  - {plugin.name}: {self._offer(plugin, fields) if plugin.usable else plugin.why_not}"
            for plugin in table.plugins
        )
        found = self._not_found(table, values)
        return NoCapabilityMatch(
            f"{self.kind}.{self.hook}: {found}; a plugin with `fallback = true` would take it{told}",
            looked_for=values,
            kind=self.kind,
            hook=self.hook,
        )

    def _not_found(self, table: Table, values: Mapping[str, Any]) -> str:
        required = ", ".join(sorted(self._require))
        if not table.usable:
            return f"no plugin that can be called has all of {required}" if required else "no plugin can be called"
        those = f" of those with {required}" if required else ""
        if not values:
            fields = ", ".join(table.hook(self.hook).match)
            return f"the payload carries none of {fields}, and there is no plugin{those} to fall back on"
        return f"no plugin{those} fits " + ", ".join(f"{field}={shown(value)}" for field, value in values.items())

    @staticmethod
    def _offer(plugin: Plugin, fields: Mapping[str, str]) -> str:
        told = [
            f"{field} {', '.join(map(str, values))}"
            for field, source in fields.items()
            if plugin.manifest and (values := listed(plugin.manifest, source))
        ]
        return "; ".join(told) or "lists nothing"


def fallback_of(table: Table, plugins: Sequence[Plugin]) -> Plugin | None:
    """The one fallback among ``plugins``.

    Raises:
        AmbiguousPlugin: if there are several.
    """
    found = [plugin for plugin in plugins if plugin.manifest and plugin.manifest.fallback]
    if len(found) > 1:
        names = [str(plugin.name) for plugin in found]
        raise AmbiguousPlugin(
            f"kind {table.kind.name!r} has several fallbacks: {', '.join(names)}; "
            "leave `fallback = true` to one of them",
            candidates=names,
            places=[plugin.location for plugin in found],
            kind=table.kind.name,
        )
    return found[0] if found else None


def _matcher(plugin: Plugin, hook: str, *, typed: bool) -> Callable[[Any], bool] | None:
    if plugin.matches is None:
        return None
    ask, fail = plugin.matches.invoker(plugin.context, typed=typed), failer(plugin, hook)

    def matches(payload: Any) -> bool:
        try:
            return bool(ask(payload))  # here, as it may be code of the plugin too
        except BaseException as error:
            fail(error)

    return matches


def listed(manifest: PluginManifest, source: str) -> tuple[Any, ...]:
    """What a manifest lists under ``supports_languages``, ``supports.region`` and the like."""
    if not source.startswith("supports."):
        return tuple(getattr(manifest, source))
    value = manifest.supports.get(source.removeprefix("supports."), ())
    return tuple(value) if isinstance(value, list | tuple) else (value,)


@attrs.frozen
class _Json:
    """A value that Python can't look up as JSON means it: ``true``, which is not 1; a list; an object."""

    text: str
    value: Any = attrs.field(eq=False)


def _own(value: Any) -> Any:
    if not isinstance(value, bool | list | tuple | Mapping | Payload):
        return value
    return _Json(json.dumps(plain(value), sort_keys=True, default=repr), value)


def _extension(value: Any) -> Any:
    return value.lower().lstrip(".") if isinstance(value, str) else _own(value)


def _mime_type(value: Any) -> Any:
    # Parameters such as charset don't decide who can read it (RFC 9110, section 8.3.1).
    return value.partition(";")[0].strip().lower() if isinstance(value, str) else _own(value)


_NORMAL: Final[Mapping[str, Callable[[Any], Any]]] = {
    "supports_extensions": _extension,
    "supports_mime_types": _mime_type,
}


def _keys_of_extension(value: Any, dots: int) -> Keys:
    """``tar.gz`` and ``gz`` for ``.tar.gz``.

    Args:
        value: what the payload carries.
        dots: how many the longest listed one has inside; a payload may carry thousands.
    """
    normal = _extension(value)
    if not isinstance(normal, str) or "." not in normal:
        return (normal,)
    parts = normal.rsplit(".", dots + 1)[1:]
    return (normal, *(".".join(parts[start:]) for start in range(len(parts))))


def _keys_of_mime_type(value: Any) -> Keys:
    normal = _mime_type(value)
    if not isinstance(normal, str):
        return (normal,)
    family, slash, _ = normal.partition("/")
    return (normal, f"{family}/*", "*/*") if slash else (normal,)


def _keys_of_value(value: Any) -> Keys:
    return (_own(value),)


def _keys(source: str, listed_values: Collection[Any]) -> Callable[[Any], Keys]:
    if source == "supports_mime_types":
        return _keys_of_mime_type
    if source == "supports_extensions":
        dots = max((value.count(".") for value in listed_values if isinstance(value, str)), default=0)
        return partial(_keys_of_extension, dots=dots)
    return _keys_of_value


class CapabilityIndex:
    """Who lists what, so that a payload finds its plugins without asking each.

    Plugins that list values for the same fields form a group. In a group, each field that the payload carries names
    its plugins; the field with the fewest is walked, and the others are asked of those only.

    Args:
        plugins: in order.
        match: payload property to the manifest field that lists a plugin's values.
    """

    def __init__(self, plugins: Sequence[Plugin], match: Mapping[str, str]) -> None:
        self._values: list[dict[str, frozenset[Any]]] = [
            {field: values for field, source in match.items() if (values := _values(plugin, source))}
            for plugin in plugins
        ]
        every = {field: {value for fields in self._values for value in fields.get(field, ())} for field in match}
        self._readers = [
            (field, _keys(source, every[field]), _reader(field, source)) for field, source in match.items()
        ]
        self._groups: dict[frozenset[str], dict[str, dict[Any, list[int]]]] = {}
        for place, fields in enumerate(self._values):
            group = self._groups.setdefault(frozenset(fields), {field: {} for field in fields})
            for field, values in fields.items():
                for value in values:
                    group[field].setdefault(value, []).append(place)

    def carried(self, payload: Any) -> dict[str, Keys]:
        """The fields that decide, as far as a payload carries them."""
        found = {}
        for field, keys, read in self._readers:
            value = read(payload)
            if value is not None:
                found[field] = keys(value)
        return found

    def matching(self, carried: Mapping[str, Keys]) -> Iterator[int]:
        """The places of the plugins that fit, in order."""
        found = [
            self._in_group(group, carried) for group in self._groups.values() if not carried.keys().isdisjoint(group)
        ]
        return found[0] if len(found) == 1 else merge(*found)

    def _in_group(self, group: Mapping[str, Mapping[Any, list[int]]], carried: Mapping[str, Keys]) -> Iterator[int]:
        fields = [field for field in carried if field in group]
        postings = {
            field: [posting for key in carried[field] if (posting := group[field].get(key))] for field in fields
        }
        best = min(fields, key=lambda field: sum(map(len, postings[field])))
        others = [(field, carried[field]) for field in fields if field != best]
        last = -1
        for place in merge(*postings[best]):
            values = self._values[place]
            # A plugin that lists both `text/html` and `text/*` stands in two postings.
            if place != last and all(any(key in values[field] for key in keys) for field, keys in others):
                yield place
            last = place


def _values(plugin: Plugin, source: str) -> frozenset[Any]:
    normal = _NORMAL.get(source, _own)
    return frozenset(normal(value) for value in listed(plugin.manifest, source)) if plugin.manifest else frozenset()


def _item(name: str, payload: Any) -> Any:
    return payload[name] if name in payload else None  # noqa: SIM401 - a payload object has no get


def _extension_item(name: str, payload: Any) -> Any:
    value = _item(name, payload)
    for source in ("path", "filename"):
        if value is not None:
            return value
        path = _item(source, payload)
        if isinstance(path, str):
            value = "".join(PurePath(path).suffixes) or None
    return value


def _reader(field: str, source: str) -> Callable[[Any], Any]:
    derived = field == "extension" and source == "supports_extensions"
    return partial(_extension_item if derived else _item, field)
