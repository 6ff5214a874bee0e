"""singleton: the active plugin answers."""

from __future__ import annotations

from dagstack_plugins.dispatch.base import Answer, Form, HasSlots, HookDispatcher
from dagstack_plugins.dispatch.chain import chained
from dagstack_plugins.dispatch.implementation import Implementation
from dagstack_plugins.dispatch.routing import routed
from dagstack_plugins.dispatch.selection import active_plugin
from dagstack_plugins.dispatch.table import Table
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.plugin import Plugin


class ActiveDispatcher(HookDispatcher):
    """The active plugin answers, whatever the hook's dispatch class."""

    def answer(self, table: Table) -> Answer:
        """The active plugin's implementation; with a routing policy, whichever that is at each call."""

        def active() -> Plugin:
            return active_plugin(table, self.hook)

        def answers(plugin: Plugin) -> Answer:
            return alone(table.implementation(plugin, self.hook))

        if table.policy is None or not table.has_plugins:
            return answers(active())
        return routed(table, self.hook, table.policy, active, answers)


class SingletonDispatcher(ActiveDispatcher):
    """A singleton hook: the active plugin answers, the caller gets its result."""

    dispatch = Dispatch.SINGLETON


class PluginDispatcher(HookDispatcher):
    """One plugin answers, called by its name, whatever the hook's dispatch class.

    Args:
        registry: where the plugins are.
        kind: the hook's kind.
        hook: the hook's name.
        plugin: the plugin's name.
        form: how the caller wants to be answered.
    """

    def __init__(self, registry: HasSlots, kind: str, hook: str, *, plugin: str, form: Form = Form.OWN) -> None:
        super().__init__(registry, kind, hook, form=form)
        self.plugin = plugin

    def answer(self, table: Table) -> Answer:
        """The plugin's implementation."""
        return alone(self.implementation(table))

    def implementation(self, table: Table) -> Implementation:
        """What the plugin makes of the hook."""
        plugin = table.named(self.plugin)
        if plugin is None:
            raise table.unknown_plugin(self.plugin)
        if not plugin.usable:
            raise table.unavailable(
                f"plugin {self.plugin!r} of kind {self.kind!r} cannot be called", self.hook, self.plugin
            )
        return table.implementation(plugin, self.hook)


class LinkDispatcher(PluginDispatcher):
    """One plugin answers, as a link of a chain that is made elsewhere: ``STOP_CHAIN`` reaches the caller."""

    def answer(self, table: Table) -> Answer:
        """The plugin's implementation."""
        made = self.implementation(table)
        return Answer(made.block, made.wait, made.plugins)


def alone(made: Implementation) -> Answer:
    """One implementation's answer; of a chain hook, as a chain of one, which knows what to make of ``STOP_CHAIN``."""
    if made.codec.hook.dispatch is Dispatch.CHAIN:
        return chained((made,), made.codec)
    return Answer(made.block, made.wait, made.plugins)
