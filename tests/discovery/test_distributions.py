"""Plugins of installed distributions: entry points, with a manifest beside the code that they name."""

from __future__ import annotations

import shutil
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dagstack_plugins import (
    AmbiguousPlugin,
    KindUnknown,
    ManifestInvalid,
    PluginLoadError,
    PluginRegistry,
    PluginStatus,
    VersionIncompatible,
)

Install = Callable[..., Path]
WritePlugin = Callable[..., Path]
WriteKind = Callable[..., Path]

ECHO = "class Echo:\n    def execute(self): return [__name__, type(self).__name__]\n"
GROUP = "dagstack.plugins"


def manifest(name: str = "echo", **fields: str) -> str:
    known = {"name": name, "kind": "tool", "core_version": ">=0.1", "runtime": "in_process"} | fields
    return "[plugin]\n" + "".join(f'{key} = "{value}"\n' for key, value in known.items())


def only_status(registry: PluginRegistry) -> PluginStatus:
    (status,) = registry.status()
    return status


def refusal(registry: PluginRegistry) -> str:
    """Why the only entry point was refused; asking again changes nothing."""
    assert registry.load_entry_points() == []
    status = only_status(registry)
    assert status.state == "unavailable"
    assert status.reason == str(status.error)
    assert registry.load_entry_points() == []
    assert only_status(registry) == status
    return status.reason


def answer(registry: PluginRegistry, name: str = "echo") -> object:
    with registry.running():
        return registry.get_plugin("tool", name).execute()


# What an entry point may name


@pytest.mark.parametrize(
    "entry", ["acme.plugin:Echo", "acme.plugin", "acme.plugin:Echo [speedups]", " acme.plugin : Echo "]
)
@pytest.mark.parametrize("own", [{}, {"entry_point": "plugin:Echo"}])
def test_an_entry_point_names_the_module_or_the_class(
    registry: PluginRegistry, install: Install, entry: str, own: dict[str, str]
) -> None:
    site = install(
        "acme-echo",
        {"echo": entry},
        {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest(**own)},
    )
    (found,) = registry.load_entry_points()
    assert (found.name, found.folder) == ("echo", site / "acme")
    assert registry.list_manifests() == [found]
    assert answer(registry) == ["acme.plugin", "Echo"]
    assert "acme-echo" in only_status(registry).location
    assert "acme.plugin" in only_status(registry).location


@pytest.mark.parametrize("entry", ["acme:Echo", "acme"])
@pytest.mark.parametrize("own", [{}, {"entry_point": "inner.plugin:Echo"}])
def test_a_package_may_be_named(registry: PluginRegistry, install: Install, entry: str, own: dict[str, str]) -> None:
    files = {
        "acme/__init__.py": "from acme.inner.plugin import Echo\n",
        "acme/inner/__init__.py": "",
        "acme/inner/plugin.py": ECHO,
        "acme/dagstack.toml": manifest(**own),
    }
    install("acme-echo", {"echo": entry}, files)
    if entry == "acme" and not own:
        assert "classes found: none" in refusal(registry)
        return
    registry.load_entry_points()
    assert answer(registry) == ["acme.inner.plugin", "Echo"]


def test_the_manifest_may_choose_the_class_of_a_module(registry: PluginRegistry, install: Install) -> None:
    code = ECHO + ECHO.replace("Echo", "Other")
    files = {"acme/__init__.py": "", "acme/plugin.py": code, "acme/dagstack.toml": manifest(entry_point="plugin:Other")}
    install("acme-echo", {"echo": "acme.plugin"}, files)
    registry.load_entry_points()
    assert answer(registry) == ["acme.plugin", "Other"]


def test_a_class_inside_another_may_be_named(registry: PluginRegistry, install: Install) -> None:
    code = "class Outer:\n" + textwrap.indent(ECHO, "    ")
    files = {"acme/__init__.py": "", "acme/plugin.py": code, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme.plugin:Outer.Echo"}, files)
    registry.load_entry_points()
    assert answer(registry) == ["acme.plugin", "Echo"]


def test_a_single_module_has_its_manifest_beside_it(registry: PluginRegistry, install: Install) -> None:
    install("acme-echo", {"echo": "acme_echo:Echo"}, {"acme_echo.py": ECHO, "dagstack.toml": manifest()})
    registry.load_entry_points()
    assert answer(registry) == ["acme_echo", "Echo"]


@pytest.mark.parametrize("inits", [(), ("acme",), ("acme/deep",), ("acme", "acme/deep")], ids=str)
def test_namespace_packages(registry: PluginRegistry, install: Install, inits: tuple[str, ...]) -> None:
    files = {f"{place}/__init__.py": "" for place in inits}
    files |= {"acme/deep/inner/plugin.py": ECHO, "acme/deep/inner/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme.deep.inner.plugin:Echo"}, files)
    registry.load_entry_points()
    assert only_status(registry).state == "registered", only_status(registry).reason
    assert answer(registry) == ["acme.deep.inner.plugin", "Echo"]


def test_two_distributions_may_share_a_namespace(
    registry: PluginRegistry, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        "acme-one", {"one": "acme.one.plugin"}, {"acme/one/plugin.py": ECHO, "acme/one/dagstack.toml": manifest("one")}
    )
    (tmp_path / "second" / "acme" / "two").mkdir(parents=True)
    (tmp_path / "second" / "acme" / "two" / "plugin.py").write_text(ECHO)
    (tmp_path / "second" / "acme" / "two" / "dagstack.toml").write_text(manifest("two"))
    monkeypatch.syspath_prepend(str(tmp_path / "second"))
    install("acme-two", {"two": "acme.two.plugin"}, {})
    assert [found.name for found in registry.load_entry_points()] == ["one", "two"]
    assert answer(registry, "two") == ["acme.two.plugin", "Echo"]


def test_they_are_imported_as_the_installed_module(
    registry: PluginRegistry, install: Install, loaded: Callable[[], set[str]]
) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    registry.load_entry_points()
    import acme.plugin  # type: ignore[import-not-found]

    assert acme.plugin is sys.modules["acme.plugin"]
    assert not loaded()


async def test_unregistering_leaves_the_module_to_its_distribution(registry: PluginRegistry, install: Install) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    registry.load_entry_points()
    await registry.unregister("tool", "echo")
    assert registry.status() == []
    assert "acme.plugin" in sys.modules
    assert len(registry.load_entry_points()) == 1


# The manifest comes first


def test_no_code_is_imported_before_its_manifest_was_checked(registry: PluginRegistry, install: Install) -> None:
    for number, fields in enumerate(({"core_version": ">=99"}, {"kind": "nowhere"}, {"priority": "high"})):
        package = f"acme{number}"
        files = {
            f"{package}/__init__.py": "raise ValueError('the package ran')\n",
            f"{package}/sub/__init__.py": "raise ValueError('the package ran')\n",
            f"{package}/sub/plugin.py": "raise ValueError('the code ran')\n",
            f"{package}/sub/dagstack.toml": manifest(f"p{number}", **fields),
        }
        install(f"acme-{number}", {f"e{number}": f"{package}.sub.plugin:Echo"}, files)
    assert registry.load_entry_points() == []
    assert {type(status.error) for status in registry.status()} == {KindUnknown, ManifestInvalid, VersionIncompatible}
    assert not any(name.startswith("acme") for name in sys.modules)


def test_without_a_manifest_no_code_is_imported(registry: PluginRegistry, install: Install) -> None:
    files = {"acme/__init__.py": "raise ValueError('the package ran')\n", "acme/plugin.py": ""}
    site = install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    told = refusal(registry)
    assert f"no dagstack.toml in {site / 'acme'}" in told
    assert "package data" in told
    assert "echo = acme.plugin:Echo of distribution acme-echo" in told
    assert "acme" not in sys.modules


def test_a_manifest_that_comes_later_is_found(registry: PluginRegistry, install: Install) -> None:
    site = install("acme-echo", {"echo": "acme.plugin:Echo"}, {"acme/__init__.py": "", "acme/plugin.py": ECHO})
    refusal(registry)
    (site / "acme" / "dagstack.toml").write_text(manifest())
    assert len(registry.load_entry_points()) == 1
    assert only_status(registry).state == "registered"


def test_a_faulty_manifest_that_was_mended(registry: PluginRegistry, install: Install) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest(colour="red")}
    site = install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    assert "colour" in refusal(registry)
    (site / "acme" / "dagstack.toml").write_text(manifest())
    assert len(registry.load_entry_points()) == 1
    assert only_status(registry).state == "registered"


# What can be wrong


@pytest.mark.parametrize("value", ["nowhere:Echo", "acme.nowhere:Echo", "acme.plugin.deeper:Echo", "nowhere.deeper"])
def test_a_missing_module_is_named(registry: PluginRegistry, install: Install, value: str) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": value}, files)
    told = refusal(registry)
    assert f"there is no module '{value.partition(':')[0]}'" in told
    assert "acme-echo" in told


@pytest.mark.parametrize("value", ["not an object!", ":Echo", "acme.plugin:", "acme..plugin:Echo", ".plugin:Echo"])
def test_a_value_that_is_no_entry_point_stops_no_other(registry: PluginRegistry, install: Install, value: str) -> None:
    files = {"good/__init__.py": "", "good/plugin.py": ECHO, "good/dagstack.toml": manifest()}
    install("good", {"z-good": "good.plugin:Echo"}, files)
    install("odd", {"a-odd": value}, {})
    assert [found.name for found in registry.load_entry_points()] == ["echo"]
    assert [status.state for status in registry.status()] == ["unavailable", "registered"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(2)", "exits"),
        ("raise BaseException('base')", "BaseException: base"),
        ("def (", "SyntaxError"),
        ("import nowhere_at_all", "nowhere_at_all"),
        ("", "no class 'Echo'"),
        ("Echo = 5", "no class"),
        ("class Echo: ...", "lacks execute"),
        ("class Echo:\n    def __init__(self, host): ...\n    def execute(self): ...\n", "needs arguments (host)"),
    ],
)
def test_code_that_fails(registry: PluginRegistry, install: Install, code: str, told: str) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": code, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    assert told in refusal(registry)
    assert isinstance(only_status(registry).error, PluginLoadError)
    assert (only_status(registry).kind, only_status(registry).name) == ("tool", "echo")


def test_a_package_that_fails(registry: PluginRegistry, install: Install) -> None:
    files = {"acme/__init__.py": "raise SystemExit", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    assert "exits" in refusal(registry)


def test_entry_point_and_manifest_must_name_the_same_class(registry: PluginRegistry, install: Install) -> None:
    code = ECHO + ECHO.replace("Echo", "Other")
    files = {"acme/__init__.py": "", "acme/plugin.py": code, "acme/dagstack.toml": manifest(entry_point="plugin:Other")}
    install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    told = refusal(registry)
    assert "acme.plugin:Echo" in told
    assert "plugin:Other" in told
    assert "same class" in told


def test_the_manifests_entry_point_is_read_from_its_folder(registry: PluginRegistry, install: Install) -> None:
    files = {
        "acme/__init__.py": "",
        "acme/plugin.py": ECHO,
        "plugin.py": ECHO,
        "acme/dagstack.toml": manifest(entry_point="acme.plugin:Echo"),
    }
    install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    told = refusal(registry)
    assert "acme.acme" in told


def test_a_missing_class_in_the_manifest(registry: PluginRegistry, install: Install) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest(entry_point="plugin:Ecco")}
    install("acme-echo", {"echo": "acme.plugin"}, files)
    assert "no class 'Ecco' (did you mean 'Echo'?)" in refusal(registry)


def test_one_that_another_of_its_name_hides_is_not_seen(
    registry: PluginRegistry, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme", {"echo": "acme.plugin:Echo"}, files)
    newer = tmp_path / "newer"
    info = newer / "acme-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 2.0\n")
    monkeypatch.syspath_prepend(str(newer))
    assert registry.load_entry_points() == []
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nother = acme.plugin\n")
    assert [one.name for one in registry.load_entry_points()] == ["echo"]
    assert registry.status()[0].location == "acme.plugin (distribution acme)"


def test_the_same_distribution_twice_on_the_path_is_one(
    registry: PluginRegistry, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    site = install("acme", {"echo": "acme.plugin:Echo"}, files)
    shutil.copytree(site, tmp_path / "older")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "older")])
    assert [one.name for one in registry.load_entry_points()] == ["echo"]


def test_damaged_entry_points_of_another_distribution_stop_nothing(
    registry: PluginRegistry, install: Install, site: Path
) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme", {"echo": "acme.plugin:Echo"}, files)
    info = site / "aaa-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aaa\nVersion: 1.0\n")
    (info / "entry_points.txt").write_bytes(b"\xff\xfe dagstack.plugins")
    assert [one.name for one in registry.load_entry_points()] == ["echo"]


def test_a_distribution_without_metadata_stops_no_other(registry: PluginRegistry, install: Install) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme.plugin:Echo"}, files, metadata=False)
    install("good", {"good": "good.plugin:Echo"}, {
        "good/__init__.py": "", "good/plugin.py": ECHO, "good/dagstack.toml": manifest("good")
    })  # fmt: skip
    assert "good" in [found.name for found in registry.load_entry_points()]


def test_a_zipped_distribution_is_told_of(
    registry: PluginRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    egg = tmp_path / "acme.zip"
    with zipfile.ZipFile(egg, "w") as archive:
        archive.writestr("acme/__init__.py", "")
        archive.writestr("acme/plugin.py", ECHO)
        archive.writestr("acme/dagstack.toml", manifest())
        archive.writestr("acme_echo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: acme-echo\nVersion: 1.0\n")
        archive.writestr("acme_echo-1.0.dist-info/entry_points.txt", f"[{GROUP}]\necho = acme.plugin:Echo\n")
    monkeypatch.syspath_prepend(str(egg))
    assert "zipped" in refusal(registry)


# Several


def test_each_is_loaded_once(registry: PluginRegistry, install: Install) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    registry.load_entry_points()
    before = registry.status()
    assert registry.load_entry_points() == []
    assert registry.status() == before


def test_a_package_that_is_also_in_a_discovered_folder_is_one_plugin(
    registry: PluginRegistry, install: Install
) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    site = install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    registry.load_entry_points()
    assert registry.discover(site) == []
    other = PluginRegistry()
    other.discover(site)
    assert other.load_entry_points() == []
    assert len(other.status()) == 1


def test_they_come_in_the_order_of_their_names(registry: PluginRegistry, install: Install) -> None:
    for name in ("b", "c", "a"):
        files = {f"acme_{name}/__init__.py": ECHO, f"acme_{name}/dagstack.toml": manifest(name)}
        install(f"acme-{name}", {name: f"acme_{name}:Echo"}, files)
    assert [found.name for found in registry.load_entry_points()] == ["a", "b", "c"]


def test_two_of_one_name_are_named_with_both_places(registry: PluginRegistry, install: Install) -> None:
    for name in ("one", "two"):
        install(f"acme-{name}", {name: f"acme_{name}:Echo"}, {
            f"acme_{name}/__init__.py": ECHO, f"acme_{name}/dagstack.toml": manifest("same")
        })  # fmt: skip
    for _ in range(2):
        with pytest.raises(AmbiguousPlugin) as caught:
            registry.load_entry_points()
        first, second = caught.value.places
        assert "acme_one" in first
        assert "acme-one" in first
        assert "acme-two" in second
        assert [status.state for status in registry.status()] == ["registered", "unavailable"]


def test_two_entry_points_cannot_share_a_manifest(registry: PluginRegistry, install: Install) -> None:
    code = ECHO + ECHO.replace("Echo", "Other")
    files = {"acme/__init__.py": "", "acme/plugin.py": code, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"a": "acme.plugin:Echo", "b": "acme.plugin:Other"}, files)
    with pytest.raises(AmbiguousPlugin) as caught:
        registry.load_entry_points()
    assert len(set(caught.value.places)) == 2


def test_two_faulty_ones_of_one_manifest_do_not_pile_up(registry: PluginRegistry, install: Install) -> None:
    files = {"acme/__init__.py": "", "acme/plugin.py": "1 / 0", "acme/dagstack.toml": manifest()}
    install("acme-echo", {"a": "acme.plugin:Echo", "b": "acme.plugin:Other"}, files)
    registry.load_entry_points()
    before = registry.status()
    assert len(before) == 2
    registry.load_entry_points()
    assert registry.status() == before


def test_an_installed_plugin_and_a_folder_of_one_name_are_ambiguous(
    registry: PluginRegistry, install: Install, plugin: WritePlugin
) -> None:
    folder = plugin("echo")
    registry.discover(folder)
    files = {"acme/__init__.py": "", "acme/plugin.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme.plugin:Echo"}, files)
    with pytest.raises(AmbiguousPlugin) as caught:
        registry.load_entry_points()
    assert caught.value.places[0] == str(folder)
    assert "acme-echo" in caught.value.places[1]


def test_a_faulty_one_stops_no_other(registry: PluginRegistry, install: Install) -> None:
    install("acme-bad", {"a": "nowhere:Echo"}, {})
    install("acme-good", {"b": "good:Echo"}, {"good/__init__.py": ECHO, "good/dagstack.toml": manifest()})
    assert [found.name for found in registry.load_entry_points()] == ["echo"]
    assert len(registry.status()) == 2


def test_strict_registers_all_or_nothing(registry: PluginRegistry, install: Install) -> None:
    install("acme-bad", {"a": "nowhere:Echo", "b": "nowhere.else:Echo"}, {})
    install("acme-good", {"c": "good:Echo"}, {"good/__init__.py": ECHO, "good/dagstack.toml": manifest()})
    with pytest.raises(ExceptionGroup) as caught:
        registry.load_entry_points(strict=True)
    assert len(caught.value.exceptions) == 2
    assert registry.status() == []


def test_one_may_wait_for_its_kind(registry: PluginRegistry, install: Install, kind: WriteKind) -> None:
    files = {"acme/__init__.py": ECHO, "acme/dagstack.toml": manifest(kind="later")}
    install("acme-echo", {"echo": "acme:Echo"}, files)
    assert registry.load_entry_points() == []
    assert registry.load_entry_points() == []
    registry.add_hookspecs(kind("later", {"execute": {}}))
    assert [found.name for found in registry.list_manifests()] == ["echo"]
    assert len(registry.status()) == 1


def test_the_group_may_be_another(registry: PluginRegistry, install: Install) -> None:
    files = {"acme/__init__.py": ECHO, "acme/dagstack.toml": manifest()}
    install("acme-echo", {"echo": "acme:Echo"}, files, group="acme.tools")
    assert registry.load_entry_points() == []
    assert registry.status() == []
    assert [found.name for found in registry.load_entry_points("acme.tools")] == ["echo"]


def test_nothing_installed_is_nothing_found(registry: PluginRegistry) -> None:
    assert registry.load_entry_points("acme.no-such-group") == []
    assert registry.status() == []
