"""A pipeline and the plugins that are there become tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagstack_plugins.dag.pipeline.document import OWN, Pipeline, PipelineInvalid, Step
from dagstack_plugins.dag.pipeline.references import filled, references
from dagstack_plugins.dag.tasks import Task, plugin_task
from dagstack_plugins.dispatch.base import unknown_hook
from dagstack_plugins.errors import Fault, KindUnknown, PayloadInvalid
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.wording import dotted


def pipeline_tasks(pipeline: Pipeline, registry: PluginRegistry) -> dict[str, Task]:
    """What the nodes of a pipeline run, by their names.

    Args:
        pipeline: the pipeline.
        registry: where the plugins are; they need not be started yet.

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
            faults.append(Fault(dotted(path, ""), str(misfit), pipeline.document.line(path)))
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
    except KindUnknown as error:
        raise _Misfit("kind", error) from None
    if step.plugin is not None:
        slots = [slot] if "@" in step.kind else registry.slots(step.kind)
        found = next((one for one in slots if one.accepted(step.plugin) is not None), None)
        if found is None:
            raise _Misfit("plugin", slot.table().unknown_plugin(step.plugin))
        slot = found
    kind = slot.compiled.kind
    if step.hook not in kind.hooks:
        raise _Misfit("hook", unknown_hook(kind, step.hook))
    if step.plugin is None and kind.hooks[step.hook].named:
        raise _Misfit("hook", f"{kind.name}.{step.hook} is called by a plugin's name: add plugin: …")
    if any(references(step.payload)):
        return  # what they stand for is known when the node runs
    try:
        slot.compiled.codecs[step.hook].load_any((dict(step.payload),), {})
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
