"""``manifest``: a host can load the plugin as its manifest says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from dagstack_plugins.contract.stage import NotStarted, Stage
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.verdict import Verdict
from dagstack_plugins.contract.violations import Finding
from dagstack_plugins.errors import PayloadInvalid, PluginLoadError, PluginRegistryError, RuntimeNotSupported
from dagstack_plugins.lifecycle.configuration import plugin_config
from dagstack_plugins.wording import nearest, place_parts

_CHECK: Final = "`dagstack-plugins check` tells the same without running the suite"
_ELSEWHERE: Final = "the suite watches code that runs in process; call plugins that run elsewhere in tests of your own"


def probe(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Load the plugin, then read what its manifest says for this suite."""
    subject, _ = given
    try:
        stage = Stage(subject, scratch, as_declared=True)
    except PluginRegistryError as error:
        return Verdict.of([finding_of(error, subject)]).to_dict()
    found = [*_config(stage), *_examples(stage)]
    if not found and stage.plugin.schema_hooks:
        found = list(_own_schemas(stage))
    return Verdict.of(found).to_dict()


def finding_of(error: PluginRegistryError, subject: Subject) -> Finding:
    """An error that a host meets, as something to report."""
    file, line = None, None
    for fault in getattr(error, "faults", ()):
        line = line or fault.line
    if isinstance(error, PluginLoadError) and error.__cause__ is not None:
        file, line = place_parts(error.__cause__)
    manifest = subject.manifest.file
    return Finding(
        told=f"{type(error).__name__}: {error}",
        advice=_ELSEWHERE if isinstance(error, RuntimeNotSupported) else _CHECK,
        hook=error.hook,
        file=file or getattr(error, "file", None) or (str(manifest) if manifest else None),
        line=line,
    )


def _own_schemas(stage: Stage) -> Iterator[Finding]:
    """What a plugin says of its own inputs is known once it is started."""
    try:
        with stage.running():
            for hook in stage.plugin.schema_hooks:
                for example in stage.examples(hook):
                    if not stage.input_is_valid(hook, example):
                        told = (
                            "an example of [plugin.contract.examples] breaks the schema that the plugin tells of itself"
                        )
                        yield Finding(told=told, hook=hook, evidence={"input": example})
    except NotStarted as error:
        if isinstance(error.error, PluginLoadError):
            yield finding_of(error.error, stage.subject)


def _config(stage: Stage) -> Iterator[Finding]:
    schema = stage.plugin.config_schema
    manifest = stage.subject.manifest
    if schema is None:
        return
    try:
        plugin_config(stage.plugin, {manifest.kind: {manifest.name: stage.config}})
    except PluginRegistryError as error:
        advice = "give the suite a configuration, [plugin.contract.config]; ${tmpdir} in it stands for a folder"
        yield attrs.evolve(finding_of(error, stage.subject), advice=advice)


def _examples(stage: Stage) -> Iterator[Finding]:
    manifest = stage.subject.manifest
    file = str(manifest.file) if manifest.file else None
    hooks = stage.hooks
    for hook, examples in manifest.contract.get("examples", {}).items():
        if hook not in hooks:
            told = f"[plugin.contract.examples] has inputs for {hook!r}, which is no hook of it{nearest(hook, hooks)}"
            yield Finding(told=told, file=file, advice=f"it has: {', '.join(hooks)}")
            continue
        for example in [examples] if isinstance(examples, dict) else examples:
            filled = stage.filled(example)
            try:
                stage.codec(hook).accept(filled)
            except PayloadInvalid as error:
                told = f"an example of [plugin.contract.examples] is no input: {error}"
                yield Finding(told=told, hook=hook, file=file, evidence={"input": example})
