"""``dagstack-plugins lock``: write down which plugins are trusted, as they are now."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import click
from rich.text import Text

from dagstack_plugins import durable
from dagstack_plugins.cli.finding import complain_of_none
from dagstack_plugins.cli.findings import of_error
from dagstack_plugins.cli.options import FOLDER, examples, installed_option, json_option
from dagstack_plugins.cli.output import complain, counted, safe, told_path, write, write_json
from dagstack_plugins.discovery.folders import plugin_folders
from dagstack_plugins.discovery.sources import FolderSource, Source
from dagstack_plugins.errors import AmbiguousPlugin, LockInvalid, PluginLoadError, PluginRegistryError
from dagstack_plugins.lock import LOCK_FILE, LockedPlugin, PluginLock
from dagstack_plugins.manifest import read_manifest

_GROUP: Final = "dagstack.plugins"
_SHORT: Final = 19
"""Characters of a hash that are shown."""


@click.command(
    epilog=examples(
        "dagstack-plugins lock plugins/",
        "dagstack-plugins lock --installed plugins/",
        "dagstack-plugins check --locked plugins/",
    )
)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=FOLDER)
@installed_option
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=LOCK_FILE, help=f"Default: {LOCK_FILE}."
)
@json_option
def lock(paths: tuple[Path, ...], installed: bool, out: Path, as_json: bool) -> int:
    """Write down the plugins below folders (default: here), each with a hash of its files.

    A host that is given the file, PluginRegistry(lock="dagstack.lock"), refuses plugins that are not in it, or that
    differ. No code of them is loaded here. The file is written anew; what was in it and is not found is left out.
    """
    before = _before(out)
    found: list[_Found] = []
    faults: list[PluginRegistryError] = []
    for source, file in _sources(paths or (() if installed else (Path(),)), installed=installed):
        try:
            found.append(_look_at(source, file))
        except PluginRegistryError as error:
            faults.append(error)
    faults += [*_twice(found), *_inside(out.absolute(), found)]
    if faults or not found:
        for fault in faults:
            complain(str(fault))
        if faults:
            complain(f"{told_path(out.absolute())} is left as it is", "note")
        else:
            complain_of_none(paths or (() if installed else (Path(),)), installed=installed)
        if as_json:
            _write_json(out, before, changed=False, faults=faults)
        return 1
    after = PluginLock.of((one.locked for one in found), out.absolute())
    changes = _changes(before, after)
    if changes or not out.exists():
        _write(Path(os.path.realpath(out)), after.to_toml())
    if as_json:
        _write_json(out, after, changed=bool(changes), faults=())
    else:
        write(*changes, Text(f"{told_path(out.absolute())}: {counted(len(found), 'plugin')}", "green"))
    return 0


def _write_json(out: Path, lock: PluginLock, *, changed: bool, faults: Sequence[PluginRegistryError]) -> None:
    """What the file holds now, and what kept it from being written anew."""
    told = [attrs.asdict(finding) for fault in faults for finding in of_error(fault)]
    plugins = [attrs.asdict(one) for _, one in sorted(lock.plugins.items())]
    write_json({"file": str(out.absolute()), "plugins": plugins, "changed": changed, "faults": told})


@attrs.frozen
class _Found:
    locked: LockedPlugin
    location: str
    place: Hashable
    folder: Path | None


def _sources(paths: Sequence[Path], *, installed: bool) -> Iterator[tuple[Source | None, Path | PluginRegistryError]]:
    for path in paths:
        for file in plugin_folders(path.absolute()):
            if isinstance(file, OSError):
                yield None, PluginLoadError(f"{file.filename} cannot be read: {file.strerror}", file=str(file.filename))
            else:
                yield FolderSource(file.parent, os.path.realpath(file.parent)), file
    if installed:
        from dagstack_plugins.discovery.distributions import installed_plugins

        yield from installed_plugins(_GROUP)


def _look_at(source: Source | None, file: Path | PluginRegistryError) -> _Found:
    if source is None or isinstance(file, PluginRegistryError):
        assert isinstance(file, PluginRegistryError)
        raise file
    try:
        manifest = read_manifest(file)
        contents = source.contents
        assert contents is not None
        locked = LockedPlugin.of(manifest, contents.hash)
    except OSError as error:
        raise PluginLoadError(f"{error.filename} cannot be read: {error.strerror}", file=str(error.filename)) from None
    return _Found(locked, source.location, source.place, manifest.folder)


def _twice(found: Sequence[_Found]) -> Iterator[AmbiguousPlugin]:
    known: dict[tuple[str, str], _Found] = {}
    for one in found:
        kind, name = one.locked.kind, one.locked.name
        first = known.setdefault((kind, name), one)
        if first.place != one.place:
            places = [first.location, one.location]
            yield AmbiguousPlugin(
                f"two plugins are called {name!r} in kind {kind!r}: {places[0]} and {places[1]}; rename one of them",
                candidates=[name],
                places=places,
            )


def _inside(out: Path, found: Sequence[_Found]) -> Iterator[PluginRegistryError]:
    """A lock in a plugin's folder would be one of the files that it tells of."""
    for one in found:
        if one.folder is not None and out.resolve().is_relative_to(one.folder.resolve()):
            yield PluginRegistryError(
                f"{out} lies in the folder of plugin {one.locked.name!r}, whose files it would change; "
                "name another place: --out FILE"
            )


def _before(out: Path) -> PluginLock:
    """The lock that is there; one that was edited into something else is replaced, but nothing that never was one."""
    try:
        return PluginLock.read(out)
    except FileNotFoundError:
        return PluginLock()
    except LockInvalid as error:
        if out.is_file() and b"lock_version" in out.read_bytes():
            complain(str(error), "warning")
            return PluginLock()
        raise click.UsageError(f"{told_path(out.absolute())} is there and is no lock file; name another one") from None


def _write(file: Path, text: str) -> None:
    beside = f"{file}.{os.getpid()}.new"
    try:
        durable.write(beside, text.encode())
        durable.move(beside, str(file))
    finally:
        Path(beside).unlink(missing_ok=True)


def _changes(before: PluginLock, after: PluginLock) -> list[Text]:
    told = []
    for key in sorted(before.plugins.keys() | after.plugins.keys()):
        old, new = before.plugins.get(key), after.plugins.get(key)
        if old != new:
            sign, style = ("+", "green") if old is None else ("-", "red") if new is None else ("~", "yellow")
            one = new or old
            assert one is not None
            version = f" {one.version}" if one.version else ""
            told.append(Text(f"{sign} {safe('/'.join(key))}{safe(version)} {one.content_hash[:_SHORT]}…", style))
    return told
