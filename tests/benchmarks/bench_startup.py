"""What finding plugins and importing the package cost."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli

from dagstack_plugins import PluginRegistry

pytestmark = pytest.mark.timeout(600)  # for slow machines: ten thousand plugins, several times

PLUGIN = """
class Plugin:
    def work(self, payload):
        return payload
"""


def write(root: Path, plugins: int, kinds: int) -> None:
    for kind in range(kinds):
        folder = root / "kinds" / f"kind_{kind}"
        folder.mkdir(parents=True)
        (folder / "v1.yaml").write_text(
            f"kind: kind_{kind}\nkind_api_version: 1.0.0\nhooks:\n- {{name: work, dispatch: broadcast_collect}}\n"
        )
    for number in range(plugins):
        folder = root / "plugins" / f"plugin_{number}"
        folder.mkdir(parents=True)
        (folder / "plugin.py").write_text(PLUGIN)
        (folder / "dagstack.toml").write_text(
            f'[plugin]\nname = "plugin_{number}"\nkind = "kind_{number % kinds}"\nruntime = "in_process"\n'
            'core_version = ">=0.1"\nentry_point = "plugin:Plugin"\n'
        )


def ours(root: Path, plugins: int) -> None:
    registry = PluginRegistry()
    registry.add_hookspecs(root / "kinds")
    assert len(registry.discover(root / "plugins")) == plugins


def bare_loop(root: Path) -> None:
    """Nothing but what finding plugins cannot do without."""
    found = []
    for number, entry in enumerate(os.scandir(root / "plugins")):
        manifest = tomli.loads((Path(entry.path) / "dagstack.toml").read_text())["plugin"]
        module, name = manifest["entry_point"].split(":")
        spec = importlib.util.spec_from_file_location(f"bare_{number}", f"{entry.path}/{module}.py")
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = loaded
        spec.loader.exec_module(loaded)
        found.append(getattr(loaded, name)())
    for number in range(len(found)):
        del sys.modules[f"bare_{number}"]


def test_discover(beside: Any, tmp_path: Path) -> None:
    write(tmp_path, 1000, 20)
    ours(tmp_path, 1000), bare_loop(tmp_path)
    beside(
        "discover 1,000 folders, 20 kinds",
        lambda: ours(tmp_path, 1000),
        "scandir, tomli, importlib, instance",
        lambda: bare_loop(tmp_path),
        at_most=1.7,
        rounds=5,
    )


def test_discover_grows_as_its_input_does(beside: Any, tmp_path: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    write(large, 10_000, 50)
    write(small, 1000, 5)
    ours(large, 10_000), ours(small, 1000)
    beside(
        "discover 10,000 folders, 50 kinds",
        lambda: ours(large, 10_000),
        "1,000 folders, 5 kinds",
        lambda: ours(small, 1000),
        at_most=11,
        rounds=3,
    )


MANIFEST = {"kind": "dag_listener", "runtime": "in_process", "core_version": ">=0.1"}


class Listener:
    def pre_execute(self) -> None: ...


class AsyncSleeper(Listener):
    async def setup(self) -> None:
        await asyncio.sleep(0.1)


class Sleeper(Listener):
    def setup(self) -> None:
        time.sleep(0.1)


@pytest.mark.parametrize("cls", [AsyncSleeper, Sleeper])
def test_setups_run_side_by_side(beside: Any, cls: type) -> None:
    def start_and_stop() -> None:
        registry = PluginRegistry()
        for number in range(100):
            registry.register(cls, {**MANIFEST, "name": f"p{number}"})
        with registry.running():
            pass

    what = "async def" if cls is AsyncSleeper else "def"
    beside(f"100 plugins whose `{what} setup` sleeps 0.1 s", start_and_stop, "0.1 s", lambda: time.sleep(0.1), rounds=5)


def registered(plugins: int) -> PluginRegistry:
    registry = PluginRegistry()
    for number in range(plugins):
        registry.register(Listener, {**MANIFEST, "name": f"p{number}"})
    return registry


def test_one_kind_grows_as_its_plugins_do(beside: Any, noted: Callable[[str], None]) -> None:
    def start_and_call(plugins: int) -> None:
        registry = registered(plugins)
        with registry.running():
            registry.kind("dag_listener").pre_execute(run_id="r", event="pre_execute")

    beside(
        "10,000 plugins of one kind: register, start, call, stop",
        lambda: start_and_call(10_000),
        "1,000 plugins",
        lambda: start_and_call(1000),
        at_most=11,
        rounds=3,
    )
    registered(10)
    tracemalloc.start()
    registry = registered(1000)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    noted(f"{size / 1000:,.0f} bytes for each registered plugin, of {len(registry.list_manifests()):,}")


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[str], Callable[[], object]]:
    """Runs code in a fresh interpreter, of modules that are compiled, as installed ones are."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def make(code: str) -> Callable[[], object]:
        def run() -> None:
            subprocess.run([sys.executable, "-c", code], check=True, cwd=tempfile.gettempdir(), env=environment)

        run()
        return run

    return make


def test_import(beside: Any, fresh: Callable[[str], Callable[[], object]]) -> None:
    beside(
        "import, first PluginRegistry()",
        fresh("from dagstack_plugins import PluginRegistry; PluginRegistry()"),
        "import pluggy, attrs, yaml, tomli, jsonschema_rs, packaging",
        fresh("import pluggy, attrs, yaml, tomli, jsonschema_rs, packaging.specifiers"),
        at_most=1.3,
        rounds=15,
    )
