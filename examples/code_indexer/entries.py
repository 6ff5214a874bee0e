"""What the plugins make of one file."""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dagstack_plugins import PluginRegistryError
from walk import Found, Problem, interpreter, read

if TYPE_CHECKING:
    from dagstack_plugins import PluginManifest, PluginRegistry


class Reader:
    """Makes the index's entries, file by file.

    Args:
        registry: the plugins, started.
        root: the folder that is indexed.
    """

    def __init__(self, registry: PluginRegistry, root: Path) -> None:
        self._root = root
        self._cleaners = registry.kind("text_cleaner")
        self._indexers = registry.kind("indexer")
        usable = {(plugin.kind, plugin.name) for plugin in registry.status() if plugin.state in ("ready", "degraded")}
        self._manifests = [m for m in registry.list_manifests() if (m.kind, m.name) in usable]
        self._makers: dict[str, str] = {}

    def entry(self, file: Found) -> dict[str, Any] | Problem:
        """Read a file and have it indexed.

        Args:
            file: the file.

        Returns:
            An entry as the store takes it, or the reason why there is none.
        """
        try:
            text = read(file, self._root)
        except OSError as error:
            return Problem.of(file.path, error)
        except ValueError as error:
            return Problem(file.path, str(error))
        try:
            return self._index(file, text)
        except Exception as error:  # a plugin that fails costs this file, not the run
            return Problem(file.path, _told(error))

    def _index(self, file: Found, text: str | None) -> dict[str, Any]:
        payload = {"path": file.path, "text": "", "mime_type": "application/octet-stream"}
        if text is not None:
            payload |= {"text": self._cleaners.clean(text=text).text, "mime_type": "text/plain"}
            if not PurePosixPath(file.path).suffix and (language := interpreter(payload["text"])):
                payload["language"] = language
        answer = self._indexers.index(**payload).to_dict()
        counts = Counter(symbol["kind"] for symbol in answer["symbols"]) + Counter(answer.get("counts", {}))
        record = {
            "path": file.path,
            "stamp": file.stamp,
            "made_by": self.made_by(file.path),
            "language": answer["language"],
            "size": file.size,
            "lines": _lines(payload["text"]),
            "counts": dict(counts),
        }
        if "problem" in answer:
            record["problem"] = answer["problem"]
        return {"file": record, "symbols": answer["symbols"]}

    def made_by(self, path: str) -> str:
        """The plugins, with versions, that have a say in a file's entry; when they change, it is made anew.

        Args:
            path: the file's path; its extension tells which indexers it may come to.
        """
        extension = PurePosixPath(path).suffix.lower()
        if extension not in self._makers:
            makers = [m for m in self._manifests if m.kind == "text_cleaner" or _may_index(m, extension)]
            self._makers[extension] = ", ".join(sorted(f"{m.name} {m.version}" for m in makers))
        return self._makers[extension]


def _may_index(manifest: PluginManifest, extension: str) -> bool:
    wanted = {"." + listed.lower().lstrip(".") for listed in manifest.supports_extensions}
    return manifest.kind == "indexer" and (not wanted or not extension or extension in wanted)


def _lines(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n")) if text else 0


def _told(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if isinstance(error, PluginRegistryError) else f" ({Path(place.filename).name}:{place.lineno})"
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    return " ".join(f"{type(error).__name__}: {error}{where}{notes}".split())
