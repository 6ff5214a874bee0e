"""A workshop for kinds: writes hookspecs, registers classes, and hands out running registries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dagstack_plugins import PluginRegistry
from dagstack_plugins.errors import HookspecInvalid
from dagstack_plugins.kinds.hookspec import read_hookspec
from dagstack_plugins.kinds.model import Kind

MANIFEST = {"runtime": "in_process", "core_version": ">=0.0"}


class Workshop:
    """Kinds in a folder, and registries that know them.

    A kind is written as JSON, which is YAML too; ``hook`` has one hook ``act`` with the schemas given.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    @staticmethod
    def object(required: str = "", **properties: Any) -> dict[str, Any]:
        """An object schema with these properties; ``required`` names some of them, with blanks between."""
        return {"type": "object", "properties": properties, "required": required.split()}

    def text(self, text: str | bytes, name: str = "sample/v1.yaml") -> Path:
        """A hookspec file, letter by letter."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def spec(
        self,
        *hooks: Mapping[str, Any],
        files: Mapping[str, Any] | None = None,
        name: str = "sample/v1.yaml",
        **fields: Any,
    ) -> Path:
        """A hookspec file with these hooks, and schema files beside it."""
        document = {"kind": "sample", "kind_api_version": "1.0.0", "hooks": list(hooks), **fields}
        file = self.text(json.dumps(document), name)
        for path, body in (files or {}).items():
            self.text(body if isinstance(body, str | bytes) else json.dumps(body), str(Path(name).parent / path))
        return file

    def hook(self, input_schema: Any = None, output_schema: Any = None, files: Any = None, **fields: Any) -> Path:
        """A kind ``sample`` whose only hook is ``act``."""
        schemas = {"input_schema": input_schema, "output_schema": output_schema}
        given = {key: schema for key, schema in schemas.items() if schema is not None}
        return self.spec({"name": "act", "dispatch": "singleton", **given, **fields}, files=files)

    def refused(self, file: Path) -> HookspecInvalid:
        """The error of a hookspec that is not valid."""
        with pytest.raises(HookspecInvalid) as caught:
            PluginRegistry().add_hookspecs(file)
        return caught.value

    def read(self, file: Path) -> Kind:
        """What a hookspec declares."""
        return read_hookspec(file)

    def registry(self, file: Path, **options: Any) -> PluginRegistry:
        """A registry that knows a kind."""
        registry = PluginRegistry(**options)
        registry.add_hookspecs(file)
        return registry

    def types(self, *args: Any, **fields: Any) -> Any:
        """The payload classes of ``hook(…)``."""
        return self.registry(self.hook(*args, **fields)).types("sample")

    @staticmethod
    def register(registry: PluginRegistry, plugin: Any, name: str = "p", **fields: Any) -> None:
        """A plugin of kind ``sample``."""
        registry.register(plugin, {"name": name, "kind": "sample", **MANIFEST, **fields})

    def running(self, file: Path, *plugins: Any, **options: Any) -> PluginRegistry:
        """A running registry with plugins ``p0``, ``p1`` … of kind ``sample``; priorities downwards."""
        registry = self.registry(file, **options)
        for index, plugin in enumerate(plugins):
            made = plugin if isinstance(plugin, type) else type("Plugin", (), {"act": plugin})
            self.register(registry, made, f"p{index}", priority=90 - index)
        return self._stack.enter_context(registry.running())

    def caller(
        self, method: Any, input_schema: Any = None, output_schema: Any = None, files: Any = None, **options: Any
    ) -> Any:
        """The hook ``act`` of a running plugin whose method is ``method``, ready to be called."""
        registry = self.running(self.hook(input_schema, output_schema, files), method, **options)
        return registry.get_plugin("sample", "p0").act

    def seen(self, input_schema: Any = None, files: Any = None, **options: Any) -> Callable[..., Any]:
        """The hook ``act``, whose caller gets back what the plugin got."""
        return self.caller(lambda self, everything: everything, input_schema, None, files, **options)

    def answered(self, output_schema: Any, files: Any = None, **options: Any) -> Callable[[Any], Any]:
        """What callers get for a value that a plugin returned."""
        values: list[Any] = []
        act = self.caller(lambda self: values[-1], None, output_schema, files, **options)

        def answer(value: Any) -> Any:
            values.append(value)
            return act()

        return answer


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with ExitStack() as stack:
        yield Workshop(tmp_path, stack)
