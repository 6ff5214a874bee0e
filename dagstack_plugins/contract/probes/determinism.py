"""``determinism``: two runs give the same bytes, wherever they are."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from dagstack_plugins.contract.probes.sighted import each_once, of_sighting
from dagstack_plugins.contract.reading import locale_uses
from dagstack_plugins.contract.stage import Stage
from dagstack_plugins.contract.state import Camera
from dagstack_plugins.contract.subject import Subject
from dagstack_plugins.contract.verdict import Verdict
from dagstack_plugins.contract.violations import OF_DETERMINISM, Finding
from dagstack_plugins.contract.watch import Sighting, Watch
from dagstack_plugins.errors import TeardownErrors


def here(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """Call one hook, watched, where threads rarely take turns and folders are listed in order."""
    subject, arguments = given
    sys.setswitchinterval(1.0)
    _list_folders(sorted)
    watch = Watch(subject.own, scratch)
    watch.begin()
    stage = Stage(subject, scratch)
    with watch.during("setup"):
        stage.start()
    answers = []
    for payload in arguments["payloads"]:
        with watch.during(arguments["hook"], payload):
            answers.append(_text(stage, arguments["hook"], payload))
    with watch.during("teardown"), suppress(TeardownErrors):
        stage.stop()
    stage.leave()
    watch.end()
    findings = [*_sighted(watch.sightings), *_read(Camera(watch.is_own))]
    hints = [f"{one.told} at {one.file}:{one.line}" for one in watch.sightings if one.what == "order"]
    return {"answers": answers, "findings": Verdict.of(each_once(findings)).to_dict()["findings"], "hints": hints}


def elsewhere(scratch: Path, given: tuple[Subject, dict[str, Any]]) -> dict[str, Any]:
    """The same, not watched, where threads take turns all the time and folders are listed backwards."""
    subject, arguments = given
    sys.setswitchinterval(1e-6)
    _list_folders(lambda names: sorted(names, reverse=True))
    _pads = [object() for _ in range(1000)]  # other addresses
    stage = Stage(subject, scratch)
    with stage.running():
        return {"answers": [_text(stage, arguments["hook"], payload) for payload in arguments["payloads"]]}


def _text(stage: Stage, hook: str, payload: Any) -> str:
    outcome = stage.call(hook, stage.filled(payload)).told()
    if "error" in outcome:
        return str(outcome["error"])
    return json.dumps(stage.settled(outcome))


def _list_folders(order: Any) -> None:
    """Have folders listed in an order of ours: a file system's own is one that nobody may rely on."""
    listdir, scandir = os.listdir, os.scandir

    class Entries:
        def __init__(self, path: Any) -> None:
            with scandir(path) as entries:
                by_name = {entry.name: entry for entry in entries}
            self._entries = iter([by_name[name] for name in order(by_name)])

        def __iter__(self) -> Iterator[Any]:
            return self._entries

        def __next__(self) -> Any:
            return next(self._entries)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            """Nothing is open."""

    os.listdir = lambda path=".": order(listdir(path))
    vars(os)["scandir"] = lambda path=".": Entries(path)


def _sighted(sightings: Iterable[Sighting]) -> Iterator[Finding]:
    for one in sightings:
        if one.what in OF_DETERMINISM:
            yield of_sighting(one)


def _read(camera: Camera) -> Iterator[Finding]:
    for module in camera.modules().values():
        file = str(module.__file__)
        for told, line in locale_uses(Path(file)):
            yield Finding(
                told=f"uses {told}, which the locale of each host decides",
                advice="format with what no locale changes: f'{number:,}', names of your own for days and months",
                file=file,
                line=line,
            )
