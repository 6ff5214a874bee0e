"""The lock file: which plugins a host trusts, as they were when somebody looked at them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any, Final

import attrs
from jsonschema_rs import Draft202012Validator

from dagstack_plugins.errors import Fault, LockInvalid, PluginUntrusted
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.manifest_text import Source, Unreadable, decoded, parsed
from dagstack_plugins.schemafaults import reach, sentence
from dagstack_plugins.wording import dotted, nearest

LOCK_FILE: Final = "dagstack.lock"
"""What a lock file is called, unless one says otherwise."""
_HEAD: Final = """\
# The plugins that this host trusts, as they were when `dagstack-plugins lock` wrote this file.
lock_version = 1
"""
_FIELDS: Final = ("kind", "name", "version", "content_hash")


@attrs.frozen(kw_only=True)
class LockedPlugin:
    """One plugin of a lock.

    Attributes:
        kind: its kind.
        name: its name.
        version: its version, ``None`` where its manifest says none.
        content_hash: ``sha256:…`` over the names and bytes of its files.
    """

    kind: str
    name: str
    version: str | None = None
    content_hash: str

    @classmethod
    def of(cls, manifest: PluginManifest, content_hash: str) -> LockedPlugin:
        """A plugin as it is.

        Args:
            manifest: its manifest.
            content_hash: that of its files.
        """
        return cls(kind=manifest.kind, name=manifest.name, version=manifest.version, content_hash=content_hash)


@attrs.frozen
class PluginLock:
    """The plugins that a host trusts.

    Attributes:
        plugins: by kind and name.
        file: where it was read from.

    .. versionadded:: 0.1
    """

    plugins: Mapping[tuple[str, str], LockedPlugin] = attrs.field(factory=dict)
    file: Path | None = None

    @classmethod
    def of(cls, plugins: Iterable[LockedPlugin], file: Path | None = None) -> PluginLock:
        """A lock of some plugins."""
        return cls({(one.kind, one.name): one for one in plugins}, file)

    @classmethod
    def read(cls, path: str | Path) -> PluginLock:
        """Read a lock file.

        Args:
            path: the file.

        Raises:
            FileNotFoundError: if there is none.
            LockInvalid: with every fault.
        """
        file = Path(path).expanduser().absolute()
        try:
            source = Source(file, decoded(file.read_bytes()))
            document = parsed(source.text, "TOML")
        except Unreadable as error:
            raise _invalid(file, [Fault("", str(error), error.line)]) from None
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no lock file {file}; `dagstack-plugins lock` writes one") from None
        except OSError as error:
            raise _invalid(file, [Fault("", f"cannot be read: {error.strerror or error}")]) from None
        if faults := list(_faults(document, source)):
            raise _invalid(file, faults)
        return cls.of((LockedPlugin(**entry) for entry in document.get("plugin", ())), file)

    def check(self, manifest: PluginManifest, content_hash: str | None) -> None:
        """Refuse a plugin that is not as it was.

        Args:
            manifest: its manifest.
            content_hash: that of its files; ``None`` if they can't be read.

        Raises:
            PluginUntrusted: if it is not locked, or differs.
        """
        locked = self.plugins.get(manifest.key)
        where = f"lock file {self.file}" if self.file else "lock"
        told = f"plugin {manifest.name!r} of kind {manifest.kind!r} in {manifest.folder}"
        if locked is None:
            raise PluginUntrusted(
                f"{told} is not in the {where}; `dagstack-plugins lock` adds what you trust",
                found=content_hash,
                kind=manifest.kind,
                plugin=manifest.name,
            )
        if locked.content_hash == content_hash and locked.version == manifest.version:
            return
        if locked.version != manifest.version:
            differs = f"version {manifest.version or 'none'} is here, {locked.version or 'none'} is locked"
        elif content_hash is None:
            differs = "its files cannot be read"
        else:
            differs = f"its files were changed: {content_hash} is here, {locked.content_hash} is locked"
        raise PluginUntrusted(
            f"{told} differs from the {where}: {differs}; look at what changed, then `dagstack-plugins lock` it again",
            wanted=locked.content_hash,
            found=content_hash,
            kind=manifest.kind,
            plugin=manifest.name,
        )

    def to_toml(self) -> str:
        """The lock as the text of a file, plugins in the order of kind and name."""
        tables = [_table(one) for _, one in sorted(self.plugins.items())]
        return "\n".join([_HEAD, *tables])


def _table(plugin: LockedPlugin) -> str:
    values = attrs.asdict(plugin)
    lines = [f"{field} = {_string(values[field])}\n" for field in _FIELDS if values[field] is not None]
    return "[[plugin]]\n" + "".join(lines)


def _string(text: str) -> str:
    """A basic string of TOML: as in JSON, but for one character that it wants escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@cache
def lock_schema() -> dict[str, Any]:
    """The shape of a lock file, as a JSON Schema (2020-12)."""
    read: dict[str, Any] = json.loads(Path(__file__).with_name("lock.schema.json").read_text("utf-8"))
    return read


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(lock_schema())


def _faults(document: Any, source: Source) -> Iterator[Fault]:
    document = _with_texts(document)
    for error in _validator().iter_errors(document):
        path = list(error.instance_path)
        if error.kind.name == "additionalProperties":
            known = _properties(error.schema_path)
            for name in error.kind.as_dict()["unexpected"]:
                yield _fault(source, [*path, name], f"unknown field{nearest(name, known)}")
        else:
            yield _fault(source, path, sentence(error))
    entries = reach(document, ["plugin"])
    seen = set()
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        kind, name = reach(entry, ["kind"]), reach(entry, ["name"])
        if not (isinstance(kind, str) and isinstance(name, str)):
            continue
        if (kind, name) in seen:
            yield _fault(source, ["plugin", index, "name"], f"{kind}/{name} is locked twice; keep one of them")
        seen.add((kind, name))


def _with_texts(value: Any) -> Any:
    """The document with its dates, which TOML has and JSON has not, as something that is no text either."""
    if isinstance(value, dict):
        return {key: _with_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts(item) for item in value]
    return {"date": str(value)} if isinstance(value, date | time) else value


def _properties(schema_path: Iterable[str | int]) -> list[str]:
    return list(reach(lock_schema(), [*list(schema_path)[:-1], "properties"]) or ())


def _fault(source: Source, path: list[str | int], message: str) -> Fault:
    return Fault(dotted(path, "", toml=True), message, source.line(path))


def _invalid(file: Path, faults: list[Fault]) -> LockInvalid:
    return LockInvalid(
        f"lock file {file} is not valid; `dagstack-plugins lock` writes it anew:", file=os.fspath(file), faults=faults
    )
