"""A plugin's section of the host's configuration, checked before the plugin sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagstack_plugins.discovery.admission import config_validator
from dagstack_plugins.errors import PluginUnavailable
from dagstack_plugins.kinds.payloads import filler
from dagstack_plugins.plugin import Plugin
from dagstack_plugins.schemafaults import faults_of
from dagstack_plugins.wording import nearest, shown


def plugin_config(plugin: Plugin, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section ``[kind][name]`` of ``config``, with the defaults of its schema filled in; empty if there is none.

    Raises:
        PluginUnavailable: if it isn't what the plugin's schema says.
    """
    section: Any = config
    path = "config"
    for key in (plugin.kind, plugin.name):
        if not isinstance(section, Mapping):
            raise _invalid(plugin, f"\n  - {path}: expected a mapping, found {shown(section)}")
        section = section.get(key)
        section = {} if section is None else section
        path += f"[{key!r}]"
    if not isinstance(section, Mapping):
        raise _invalid(plugin, f"\n  - {path}: expected a mapping, found {shown(section)}")
    if plugin.config_schema is None:
        return section
    fill = filler(plugin.config_schema)
    checked: dict[str, Any] = dict(section) if fill is None else fill(dict(section))
    try:
        declared = plugin.config_schema.get("properties", ())
        faults = faults_of(config_validator(plugin.config_schema).iter_errors(checked), path, declared)
    except (TypeError, ValueError) as error:  # values that JSON has no form for
        raise _invalid(plugin, f"\n  - {path}: {error}") from None
    if faults:
        raise _invalid(plugin, "".join(f"\n  - {fault}" for fault in faults))
    return checked


def misplaced(config: Mapping[str, Any], plugins: Sequence[Plugin]) -> list[str]:
    """What looks like a section of a plugin, but none will read; sections of plugins that are absent are no mistake.

    Args:
        config: the host's configuration.
        plugins: all that the registry knows.
    """
    names: dict[str, set[str]] = {}
    for plugin in plugins:
        if plugin.kind and plugin.name:
            names.setdefault(plugin.kind, set()).add(plugin.name)
    told = []
    for kind, sections in config.items() if isinstance(config, Mapping) else ():
        if kind not in names:
            kinds = [known for known, those in names.items() if kind in those]
            if kinds:
                told.append(f"config[{kind!r}] is the name of a plugin; write config[{kinds[0]!r}][{kind!r}]")
            elif hint := nearest(str(kind), names):
                told.append(f"config[{kind!r}] belongs to no plugin: there is none of that kind{hint}")
        elif isinstance(sections, Mapping):
            told += [
                f"config[{kind!r}][{name!r}] belongs to no plugin{hint}"
                for name in sections
                if name not in names[kind] and (hint := nearest(str(name), names[kind] - sections.keys()))
            ]
    return told


def _invalid(plugin: Plugin, told: str) -> PluginUnavailable:
    message = (
        f"the configuration of {plugin.label} is not valid:{told}\n"
        "the host gives it as PluginContext(config={kind: {name: …}})"
    )
    return PluginUnavailable(message, kind=plugin.kind, plugin=plugin.name)
