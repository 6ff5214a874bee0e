"""What finding the plugins of installed distributions costs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tomli
from stevedore import ExtensionManager, _cache

from dagstack_plugins import PluginRegistry

DISTRIBUTIONS = 300
OURS = 3
CODE = "class Echo:\n    def execute(self, args):\n        return args\n"
MANIFEST = '[plugin]\nname = "{name}"\nkind = "tool"\nruntime = "in_process"\ncore_version = ">=0.1"\n'


def install(site: Path, number: int) -> None:
    name = f"bench_dist_{number}"
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n" + "A description.\n" * 50)
    ours = number % (DISTRIBUTIONS // OURS) == 0
    group = "dagstack.plugins" if ours else "console_scripts"
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}.plugin:Echo\n")
    if ours:
        package = site / name
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "plugin.py").write_text(CODE)
        (package / "dagstack.toml").write_text(MANIFEST.format(name=name))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three hundred distributions, and no others that have plugins."""
    for number in range(DISTRIBUTIONS):
        install(tmp_path, number)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("bench_dist_")]:
        del sys.modules[name]


def ours() -> None:
    assert len(PluginRegistry().load_entry_points()) == OURS


def bare_loop() -> None:
    """The same manifests, read and parsed, and the same classes made."""
    found = []
    for entry in entry_points(group="dagstack.plugins"):
        spec = find_spec(entry.module)
        assert spec is not None
        assert spec.origin is not None
        manifest = tomli.loads((Path(spec.origin).parent / "dagstack.toml").read_text())
        found.append((manifest["plugin"], getattr(import_module(entry.module), entry.attr)()))
    assert len(found) == OURS


def with_stevedore() -> None:
    """As in a new process: what it keeps in memory is forgotten, what it keeps in a file is not."""
    _cache._c._internal.clear()
    ExtensionManager.ENTRY_POINT_CACHE.clear()
    assert len(list(ExtensionManager("dagstack.plugins", invoke_on_load=True))) == OURS


@pytest.mark.usefixtures("site")
def test_installed_plugins(beside: Any) -> None:
    ours()
    beside(
        f"load_entry_points, {OURS} of {DISTRIBUTIONS} distributions",
        ours,
        "entry_points, find_spec, tomli, import, instance",
        bare_loop,
        at_most=1.5,
    )


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("keeps", [False, True], ids=["no file", "file"])
def test_installed_plugins_beside_stevedore(
    beside: Any, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, keeps: bool
) -> None:
    monkeypatch.setattr(_cache._c, "_dir", str(tmp_path_factory.mktemp("stevedore")))
    monkeypatch.setattr(_cache._c, "_disable_caching", not keeps)
    with_stevedore()
    what = "stevedore.ExtensionManager" + (", which keeps entry points in a file" if keeps else "")
    beside(f"load_entry_points, the same {OURS}", ours, what, with_stevedore, at_most=1)
