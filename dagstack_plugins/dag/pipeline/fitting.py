"""A pipeline and the plugins that are there become tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagstack_plugins.dag.pipeline.document import OWN, Pipeline, PipelineInvalid, Step
from dagstack_plugins.dag.pipeline.references import filled, references
from dagstack_plugins.dag.tasks import Task, plugin_task
from dagstack_plugins.dispatch.base import unknown_hook
from dagstack_plugins.dispatch.implementation import own_input
from dagstack_plugins.dispatch.slot import Slot
from dagstack_plugins.errors import Fault, KindUnknown, PayloadInvalid
from dagstack_plugins.plugin import Plugin, PluginState
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.wording import dotted, nearest


def pipeline_tasks(pipeline: Pipeline, registry: PluginRegistry) -> dict[str, Task]:
    """What the nodes of a pipeline run, by their names.

    Args:
        pipeline: the pipeline.
        registry: where the plugins are. Of those that were started, it is known as well whether they can be used, and
            what they themselves say of their inputs.

    Raises:
        PipelineInvalid: if nodes name kinds, hooks or plugins that are not there, or a payload without references is
            not what the hook takes; all of it at once.
    """
    faults: list[Fault] = []
    tasks: dict[str, Task] = {}
    for step in pipeline.steps.values():
        try:
            _check(step, registry)
            tasks[step.name] = _task(pipeline, step, registry)
        except _Misfit as misfit:
            path = ("nodes", step.name, misfit.field)
            told = str(misfit).replace("\n", "\n    ")
            faults.append(Fault(dotted(path, ""), told, pipeline.document.line(path)))
    if faults:
        raise PipelineInvalid(pipeline.file, faults)
    return tasks


class _Misfit(Exception):
    def __init__(self, field: str, message: object) -> None:
        super().__init__(str(message))
        self.field = field


def _check(step: Step, registry: PluginRegistry) -> None:
    if step.kind is None or step.hook is None:
        return
    try:
        slot = registry.slot(step.kind)
    except KindUnknown:
        kinds = registry.kinds()
        known = f"{nearest(step.kind, kinds)}; known are {', '.join(kinds)}"
        raise _Misfit("kind", f"no hookspec declares kind {step.kind!r}{known}") from None
    plugin = None
    if step.plugin is not None:
        slot, plugin = _found(step, step.plugin, slot, registry)
    kind = slot.compiled.kind
    if step.hook not in kind.hooks:
        raise _Misfit("hook", unknown_hook(kind, step.hook))
    if plugin is None and kind.hooks[step.hook].named:
        raise _Misfit("hook", f"{kind.name}.{step.hook} is called by a plugin's name: add plugin: …")
    if plugin is not None:
        _check_usable(plugin)
    elif (loaded := [one for one in slot.plugins if not one.refused]) and not any(map(_may_answer, loaded)):
        raise _Misfit("hook", f"no plugin of kind {kind.name!r} can be used: {loaded[0].name} is {loaded[0].why_not}")
    if not any(references(step.payload)):  # what they stand for is known when the node runs
        _check_payload(step, slot, plugin)


def _found(step: Step, name: str, slot: Slot, registry: PluginRegistry) -> tuple[Slot, Plugin]:
    """A plugin, and the place of the kind's major that has it."""
    slots = [slot] if "@" in str(step.kind) else registry.slots(str(step.kind))
    for one in slots:
        if (plugin := one.accepted(name)) is not None:
            return one, plugin
    for one in slots:
        for plugin in one.plugins:
            if plugin.name == name:
                raise _Misfit("plugin", f"plugin {name!r} cannot be used: {plugin.reason}")
    names = [str(plugin.name) for one in slots for plugin in one.plugins]
    known = f"{nearest(name, names)}; it has: {', '.join(names) or 'none'}"
    raise _Misfit("plugin", f"kind {slot.compiled.kind.name!r} has no plugin {name!r}{known}")


def _may_answer(plugin: Plugin) -> bool:
    return plugin.usable or plugin.state is PluginState.REGISTERED


def _check_usable(plugin: Plugin) -> None:
    if not _may_answer(plugin):
        raise _Misfit("plugin", f"plugin {plugin.name!r} cannot be used: it is {plugin.why_not}")


def _check_payload(step: Step, slot: Slot, plugin: Plugin | None) -> None:
    codec = slot.compiled.codecs[str(step.hook)]
    given = filled(step.payload, {})
    try:
        codec.load_any((given,), {})
        if plugin is not None and (own := plugin.own_inputs.get(str(step.hook))) is not None:
            own_input(given, own, plugin, codec)
    except PayloadInvalid as error:
        raise _Misfit("payload", error) from None


def _task(pipeline: Pipeline, step: Step, registry: PluginRegistry) -> Task:
    if step.kind is None or step.hook is None:
        return _pass
    own = {OWN: {"folder": str(pipeline.file.absolute().parent), "name": pipeline.name}}

    def payload(**results: Any) -> Mapping[str, Any]:
        given: Mapping[str, Any] = filled(step.payload, {**results, **own})
        return given

    return plugin_task(registry, step.kind, step.hook, name=step.plugin, payload=payload)


def _pass() -> None:
    """Of a node that is a gate alone."""
