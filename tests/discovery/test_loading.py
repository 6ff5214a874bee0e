"""How a plugin folder's code becomes a plugin: which class, imported how, and what its author can get wrong."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from dagstack_plugins import KindUnknown, PluginLoadError, PluginRegistry, PluginStatus

WritePlugin = Callable[..., Path]
WriteKind = Callable[..., Path]
LoadedModules = Callable[[], set[str]]

PACKAGE = "dagstack._discovered"


def only_status(registry: PluginRegistry) -> PluginStatus:
    (status,) = registry.status()
    return status


def refusal(registry: PluginRegistry, folder: Path) -> str:
    """Why the one plugin in ``folder`` was refused; it left nothing behind."""
    before = set(sys.modules)
    assert registry.discover(folder) == []
    status = only_status(registry)
    assert status.state == "unavailable"
    assert isinstance(status.error, PluginLoadError), status.error
    assert (status.error.kind, status.error.plugin) == (status.kind, status.name)
    assert status.reason == str(status.error)
    assert not [name for name in set(sys.modules) - before if name.startswith(f"{PACKAGE}.")]
    return status.reason


def answer(registry: PluginRegistry, name: str = "echo", **args: object) -> object:
    """What plugin ``name`` answers; the registry is stopped again."""
    with registry.running():
        return registry.get_plugin("tool", name).execute(**args)


# Which class


def test_without_entry_point_the_only_class_of_plugin_py_is_taken(
    registry: PluginRegistry, plugin: WritePlugin
) -> None:
    registry.discover(plugin("echo"))
    assert answer(registry, msg="hi") == {"msg": "hi"}


def test_entry_point_names_module_and_class(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = "class One:\n    def execute(self): return 1\nclass Two:\n    def execute(self): return 2\n"
    registry.discover(plugin("echo", None, files={"inner/code.py": code}, entry_point="inner.code:Two"))
    assert answer(registry) == 2


def test_imported_classes_do_not_count(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        from collections import UserDict
        from .base import Base
        from .base import Base as Alias

        class Echo(Base):
            def execute(self): return "mine"
    """
    base = "class Base:\n    def execute(self): return 'base'\n"
    registry.discover(plugin("echo", code, files={"base.py": base}))
    assert answer(registry) == "mine"


def test_a_class_that_is_only_imported_has_to_be_named(registry: PluginRegistry, plugin: WritePlugin) -> None:
    base = {"base.py": "class Base:\n    def execute(self): return 'base'\n"}
    folder = plugin("echo", "from .base import Base\n", files=base)
    assert "classes found: none" in refusal(registry, folder)
    plugin("echo", "from .base import Base\n", files=base, entry_point="plugin:Base")
    registry.discover(folder)
    assert answer(registry) == "base"


def test_an_abstract_base_does_not_count(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        import abc

        class Base(abc.ABC):
            @abc.abstractmethod
            def execute(self): ...

        class Echo(Base):
            def execute(self): return "derived"
    """
    registry.discover(plugin("echo", code))
    assert answer(registry) == "derived"


def test_an_abstract_class_alone_is_told_of(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        import abc

        class Base(abc.ABC):
            @abc.abstractmethod
            def execute(self): ...
    """
    told = refusal(registry, plugin("echo", code))
    assert "Base" in told
    assert "abstract" in told
    assert "Base is abstract, it lacks execute" in told
    assert "did you mean" not in told


def test_a_named_abstract_class_is_refused(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        import abc

        class Base(abc.ABC):
            @abc.abstractmethod
            def execute(self): ...
    """
    told = refusal(registry, plugin("echo", code, entry_point="plugin:Base"))
    assert "Can't instantiate abstract class Base" in told


def test_a_second_name_for_a_class_is_no_second_class(registry: PluginRegistry, plugin: WritePlugin) -> None:
    registry.discover(plugin("echo", "class Echo:\n    def execute(self): return 1\nPlugin = Echo\n"))
    assert answer(registry) == 1


def test_classes_without_a_hook_do_not_count(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        from dataclasses import dataclass
        from typing import NamedTuple

        @dataclass
        class Point:
            x: int

        class Pair(NamedTuple):
            left: int

        class Failure(Exception): ...

        class Echo:
            execute = staticmethod(lambda: "here")
    """
    registry.discover(plugin("echo", code))
    assert answer(registry) == "here"


def test_several_classes_are_listed(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = "class One:\n    def execute(self): ...\nclass Two(One): ...\nclass Other: ...\n"
    told = refusal(registry, plugin("echo", code))
    assert "several classes" in told
    assert "One, Two" in told
    assert "Other" not in told
    assert "entry_point" in told


def test_none_fitting_lists_the_classes_and_the_hooks(registry: PluginRegistry, plugin: WritePlugin) -> None:
    told = refusal(registry, plugin("echo", "class One: ...\nclass Two:\n    execute = 5\n"))
    assert "no class that implements a hook of kind 'tool' (get_schema, execute)" in told
    assert "One, Two" in told


def test_an_empty_plugin_py_has_no_class(registry: PluginRegistry, plugin: WritePlugin) -> None:
    assert "classes found: none" in refusal(registry, plugin("echo", ""))


def test_a_class_of_native_implementations_is_found(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        from dagstack_plugins import hookimpl

        class Helper: ...

        class Native:
            @hookimpl(specname="execute")
            def answer(self, payload): return {"got": payload["msg"]}
    """
    registry.discover(plugin("echo", code))
    assert answer(registry, msg=1) == {"got": 1}


def test_a_missing_class_lists_those_that_are_there(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = "from collections import UserDict\nclass EchoPlugin:\n    def execute(self): ...\nclass Other: ...\n"
    told = refusal(registry, plugin("echo", code, entry_point="plugin:EchoPlugins"))
    assert "no class 'EchoPlugins' (did you mean 'EchoPlugin'?)" in told
    assert "it defines: EchoPlugin, Other" in told


def test_a_name_that_is_no_class_is_refused(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", "def Echo(): ...\n", entry_point="plugin:Echo")
    told = refusal(registry, folder)
    assert "'Echo', which is no class" in told
    assert "it defines: no class" in told


@pytest.mark.parametrize("module", ["nothing", "deep.nothing", "plugin.nothing", "os", "os.path", "json"])
def test_a_missing_module_is_named(registry: PluginRegistry, plugin: WritePlugin, module: str) -> None:
    folder = plugin("echo", entry_point=f"{module}:Echo")
    told = refusal(registry, folder)
    assert f"no module '{module}' in {folder}" in told


def test_plugin_py_missing(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", None)
    told = refusal(registry, folder)
    assert f"there is no {folder / 'plugin.py'}" in told
    assert "entry_point" in told


def test_plugin_py_that_is_a_folder_is_missing(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", None)
    (folder / "plugin.py").mkdir()
    assert "there is no" in refusal(registry, folder)


def test_a_package_may_be_the_entry_point(registry: PluginRegistry, plugin: WritePlugin) -> None:
    files = {
        "code/__init__.py": "from .inner import Echo\n",
        "code/inner.py": "class Echo:\n def execute(s): return 3\n",
    }
    registry.discover(plugin("echo", None, files=files, entry_point="code:Echo"))
    assert answer(registry) == 3


def test_a_package_is_named_by_its_own_file(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", None, files={"code/__init__.py": ""}, entry_point="code:Echo")
    assert str(folder / "code" / "__init__.py") in refusal(registry, folder)


@pytest.mark.parametrize("inits", [(), ("a",), ("a/b",), ("a", "a/b")], ids=str)
def test_folders_between_need_no_init(registry: PluginRegistry, plugin: WritePlugin, inits: tuple[str, ...]) -> None:
    files = {f"{place}/__init__.py": "" for place in inits}
    files["a/b/c.py"] = "from ..d import D\nclass Echo(D):\n    pass\n"
    files["a/d.py"] = "class D:\n    def execute(self): return 4\n"
    registry.discover(plugin("echo", None, files=files, entry_point="a.b.c:Echo"))
    assert only_status(registry).state == "registered", only_status(registry).reason
    assert answer(registry) == 4


# The folder as a package


@pytest.mark.usefixtures("loaded")
def test_modules_have_the_promised_names(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        from . import helper
        from .sub import deep

        class Echo:
            def execute(self): return [__name__, __package__, helper.__name__, deep.__name__, type(self).__module__]
    """
    registry.discover(plugin("my-echo", code, files={"helper.py": "", "sub/__init__.py": "", "sub/deep.py": ""}))
    package = f"{PACKAGE}.my-echo"
    assert answer(registry, "my-echo") == [
        f"{package}.plugin",
        package,
        f"{package}.helper",
        f"{package}.sub.deep",
        f"{package}.plugin",
    ]
    assert sys.modules[f"{package}.plugin"].__file__


@pytest.mark.parametrize(
    "code",
    [
        "from . import helper",
        "from .helper import VALUE\nfrom . import helper",
        "from .sub import helper",
        "from .sub.helper import VALUE\nfrom .sub import helper",
        "import importlib\nhelper = importlib.import_module('.helper', __package__)",
    ],
)
def test_the_folder_is_its_package(registry: PluginRegistry, plugin: WritePlugin, code: str) -> None:
    code += "\nclass Echo:\n    def execute(self): return helper.VALUE\n"
    files = {"helper.py": "VALUE = 7\n", "sub/helper.py": "from ..helper import VALUE\n"}
    registry.discover(plugin("echo", code, files=files))
    assert answer(registry) == 7


def test_a_module_may_be_imported_late(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        class Echo:
            def execute(self):
                from .late import VALUE
                return VALUE
    """
    registry.discover(plugin("echo", code, files={"late.py": "VALUE = 8\n"}))
    assert answer(registry) == 8


def test_modules_of_the_folder_are_not_found_as_top_level_ones(registry: PluginRegistry, plugin: WritePlugin) -> None:
    told = refusal(registry, plugin("echo", "import helper_beside\n", files={"helper_beside.py": ""}))
    assert "ModuleNotFoundError: No module named 'helper_beside'" in told


def test_a_module_named_like_one_of_python_hides_nothing(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        import json
        from . import json as own

        class Echo:
            def execute(self): return [json.dumps(1), own.VALUE]
    """
    registry.discover(plugin("echo", code, files={"json.py": "VALUE = 'own'\n"}))
    assert answer(registry) == ["1", "own"]


def test_the_folders_init_runs_first_and_once(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        from . import VALUE, runs

        class Echo:
            def execute(self): return [VALUE, runs]
    """
    init = "VALUE = 'from the package'\nruns = globals().get('runs', 0) + 1\n"
    registry.discover(plugin("echo", code, files={"__init__.py": init}))
    assert answer(registry) == ["from the package", 1]


def test_the_folders_init_may_import_its_modules(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = "class Echo:\n    def execute(self): return 9\n"
    registry.discover(plugin("echo", code, files={"__init__.py": "from .plugin import Echo\n"}))
    assert answer(registry) == 9


@pytest.mark.parametrize("init", ["1 / 0", "raise SystemExit", "def ("])
def test_a_faulty_init_refuses_the_plugin(registry: PluginRegistry, plugin: WritePlugin, init: str) -> None:
    assert "__init__.py" in refusal(registry, plugin("echo", files={"__init__.py": init}))


def test_files_beside_the_code_are_found_by_it(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        import pathlib
        from importlib.resources import files

        class Echo:
            def execute(self):
                here = pathlib.Path(__file__).parent
                return [(here / "words.txt").read_text(), files(__package__).joinpath("words.txt").read_text()]
    """
    registry.discover(plugin("echo", code, files={"words.txt": "hello"}))
    assert answer(registry) == ["hello", "hello"]


def test_sys_path_is_not_touched(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    plugin("good", files={"helper.py": ""})
    plugin("bad", "1 / 0")
    before = list(sys.path), list(sys.meta_path), list(sys.path_hooks)
    registry.discover(plugins)
    assert (list(sys.path), list(sys.meta_path), list(sys.path_hooks)) == before


def test_the_working_directory_is_not_touched(registry: PluginRegistry, plugin: WritePlugin) -> None:
    before = Path.cwd()
    registry.discover(plugin("echo"))
    assert Path.cwd() == before


# Never outside the folder


def test_a_linked_module_outside_is_refused_and_not_run(
    registry: PluginRegistry, plugin: WritePlugin, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("import os\nos.environ['RAN_OUTSIDE'] = '1'\nclass Echo:\n    def execute(self): ...\n")
    folder = plugin("echo", None)
    (folder / "plugin.py").symlink_to(outside)
    told = refusal(registry, folder)
    assert "lies outside" in told
    assert str(outside) in told
    assert "RAN_OUTSIDE" not in os.environ


@pytest.mark.parametrize("init", [True, False], ids=["package", "plain folder"])
def test_a_linked_package_outside_is_refused(
    registry: PluginRegistry, plugin: WritePlugin, tmp_path: Path, init: bool
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    if init:
        (outside / "__init__.py").touch()
    (outside / "code.py").write_text("class Echo:\n    def execute(self): ...\n")
    folder = plugin("echo", None, entry_point="sub.code:Echo")
    (folder / "sub").symlink_to(outside, target_is_directory=True)
    assert "lies outside" in refusal(registry, folder)


def test_a_linked_init_outside_is_refused_and_not_run(
    registry: PluginRegistry, plugin: WritePlugin, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("import os\nos.environ['RAN_OUTSIDE'] = '1'\n")
    folder = plugin("echo")
    (folder / "__init__.py").symlink_to(outside)
    assert "lies outside" in refusal(registry, folder)
    assert "RAN_OUTSIDE" not in os.environ


def test_nothing_runs_before_the_module_is_known_to_be_inside(
    registry: PluginRegistry, plugin: WritePlugin, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.py"
    outside.touch()
    folder = plugin("echo", None, files={"__init__.py": "import os\nos.environ['RAN_OUTSIDE'] = '1'\n"})
    (folder / "plugin.py").symlink_to(outside)
    refusal(registry, folder)
    assert "RAN_OUTSIDE" not in os.environ


def test_a_link_inside_the_folder_is_fine(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", None, files={"real.py": "class Echo:\n    def execute(self): return 5\n"})
    (folder / "plugin.py").symlink_to(folder / "real.py")
    registry.discover(folder)
    assert answer(registry) == 5


def test_a_plugin_folder_that_is_a_link_is_fine(registry: PluginRegistry, plugin: WritePlugin, plugins: Path) -> None:
    folder = plugin("echo", at="../real")
    (plugins / "link").symlink_to(folder, target_is_directory=True)
    registry.discover(plugins)
    assert answer(registry, msg=1) == {"msg": 1}


# Code that fails


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ImportError('no')", "ImportError: no"),
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("from . import nothing_here", "ImportError: cannot import name 'nothing_here'"),
        ("raise SystemExit(3)", "exits"),
        ("import sys\nsys.exit()", "exits"),
        ("exit()", "exits"),
        ("raise BaseException('base')", "BaseException: base"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
        ("class E(BaseException): pass\nraise E('own')", "E: own"),
        ("raise ExceptionGroup('two', [ValueError(1), TypeError(2)])", "ExceptionGroup: two"),
        ("class E(Exception):\n def __str__(self): raise ValueError\nraise E", "raises E"),
        ("class E(Exception):\n def __str__(self): raise SystemExit\nraise E", "raises E"),
        ("class E(Exception):\n def __str__(self): return '\\udcff'\nraise E", "raises E"),
        (
            "from dagstack_plugins import PluginRegistryError\nraise PluginRegistryError('own')",
            "PluginRegistryError: own",
        ),
        ("def (", "SyntaxError"),
        ("if True:\npass", "IndentationError"),
        ("x = '\\x00'\n\x00", "null bytes"),
        ("def f(): return f()\nf()", "RecursionError"),
        ("import sys\ndel sys.modules[__name__]\n1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_module_that_fails_refuses_its_plugin_alone(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, code: str, told: str
) -> None:
    plugin("a-good")
    faulty = plugin("faulty", code)
    plugin("z-good")
    assert [manifest.name for manifest in registry.discover(plugins)] == ["a-good", "z-good"]
    _, status, _ = registry.status()
    assert isinstance(status.error, PluginLoadError)
    assert told in status.reason
    assert str(faulty) in status.reason
    assert f"{PACKAGE}.faulty" not in sys.modules
    assert f"{PACKAGE}.faulty.plugin" not in sys.modules


def test_the_place_of_the_failure_is_told(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", "from . import helper\n", files={"helper.py": "#\n#\nraise ValueError('deep')\n"})
    told = refusal(registry, folder)
    assert f"{folder / 'helper.py'}, line 3" in told
    error = only_status(registry).error
    assert error is not None
    assert isinstance(error.__cause__, ValueError)


def test_the_place_of_a_syntax_error_is_told(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", "x = 1\ny = (\n")
    assert f"{folder / 'plugin.py'} cannot be imported" in refusal(registry, folder)
    assert "never closed (line 2)" in refusal(registry, folder)


def test_bytes_that_are_no_utf8_are_told_of(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo")
    (folder / "plugin.py").write_bytes(b"x = '\xff'\n")
    assert "SyntaxError" in refusal(registry, folder)


def test_an_interrupt_is_no_fault_of_the_plugin(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, loaded: LoadedModules
) -> None:
    plugin("a-good")
    plugin("b-slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry.discover(plugins)
    assert registry.status() == []
    assert loaded() == set()


def test_an_interrupt_in_a_constructor_is_no_fault_of_the_plugin(
    registry: PluginRegistry, plugin: WritePlugin, loaded: LoadedModules
) -> None:
    code = "class Echo:\n    def __init__(self): raise KeyboardInterrupt\n    def execute(self): ...\n"
    with pytest.raises(KeyboardInterrupt):
        registry.discover(plugin("echo", code))
    assert loaded() == set()


def test_printing_on_import_is_no_fault(
    registry: PluginRegistry, plugin: WritePlugin, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "print('hello')\nclass Echo:\n    def execute(self): return 1\n"
    registry.discover(plugin("echo", code))
    assert only_status(registry).state == "registered"
    assert answer(registry) == 1
    assert capsys.readouterr().out == "hello\n"


# Instances


@pytest.mark.usefixtures("loaded")
def test_the_class_is_made_once_without_arguments_at_discovery(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = """
        class Echo:
            made = 0

            def __init__(self, *args, greeting="hi", **kwargs):
                Echo.made += 1
                self.told = [len(args), greeting, kwargs]

            def execute(self): return [self.made, self.told]
    """
    registry.discover(plugin("echo", code))
    assert sys.modules[f"{PACKAGE}.echo.plugin"].Echo.made == 1
    assert answer(registry) == [1, [0, "hi", {}]]


@pytest.mark.parametrize(
    ("init", "told"),
    [
        ("def __init__(self, host, port, *rest, retry=1, **more): ...", "Echo needs arguments (host, port)"),
        ("def __init__(self, *, host): ...", "Echo needs arguments (host)"),
        ("def __new__(cls, host): return object.__new__(cls)", "Echo needs arguments (host)"),
        ("def __init__(self): raise ValueError('no database')", "Echo cannot be made: ValueError: no database"),
        ("def __init__(self): raise SystemExit(1)", "Echo cannot be made: SystemExit: 1"),
        ("def __init__(self): raise BaseException('base')", "Echo cannot be made: BaseException: base"),
        ("def __init__(self): return 5", "Echo cannot be made: TypeError"),
        ("def __new__(cls): return None", "lacks execute"),
        (
            "def __init__(self):\n        class E(Exception):\n            __str__ = None\n        raise E",
            "Echo cannot be made: E",
        ),
    ],
)
def test_a_class_that_cannot_be_made_is_refused(
    registry: PluginRegistry, plugin: WritePlugin, init: str, told: str
) -> None:
    code = f"class Echo:\n    {init}\n    def execute(self): ...\n"
    folder = plugin("echo", code)
    reason = refusal(registry, folder)
    assert told in reason
    assert str(folder) in reason


def test_needed_arguments_are_sent_to_setup(registry: PluginRegistry, plugin: WritePlugin) -> None:
    code = "class Echo:\n    def __init__(self, host): ...\n    def execute(self): ...\n"
    assert "setup(ctx)" in refusal(registry, plugin("echo", code))


LAZY = """
class Lazy:
    def __get__(self, instance, owner):
        if instance is not None:
            raise {error}
        return print

class Echo:
    def execute(self): ...
    {name} = Lazy()
"""


@pytest.mark.parametrize(
    "code",
    [
        *(LAZY.format(name=name, error="ValueError") for name in ("execute", "config_schema", "setup")),
        LAZY.format(name="teardown", error="SystemExit"),
        LAZY.format(name="get_schema", error="BaseException"),
        "class Echo:\n    def __getattr__(self, name): raise ValueError('lazy')\n    def execute(self): ...\n",
        "class M(type):\n    def __getattribute__(cls, name): raise ValueError\nclass Echo(metaclass=M): ...\n",
        "def __getattr__(name): raise ValueError('lazy')\n",
        "import sys\nsys.modules[__name__] = None\n",
        "import sys\nsys.modules[__name__] = 5\n",
    ],
)
@pytest.mark.parametrize("entry_point", [None, "plugin:Echo"])
def test_code_that_fails_when_it_is_looked_at_stops_no_other(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, code: str, entry_point: str | None
) -> None:
    plugin("a-good")
    folder = plugin("faulty", code, entry_point=entry_point)
    plugin("z-good")
    assert [manifest.name for manifest in registry.discover(plugins)] == ["a-good", "z-good"]
    _, status, _ = registry.status()
    assert isinstance(status.error, PluginLoadError)
    assert str(folder) in status.reason
    assert f"{PACKAGE}.faulty" not in sys.modules


# Isolation


SHARED = """
    from . import state

    class Echo:
        def execute(self):
            state.calls += 1
            return state.calls
"""


def test_two_kinds_share_no_modules(
    registry: PluginRegistry, plugin: WritePlugin, kind: WriteKind, plugins: Path
) -> None:
    registry.add_hookspecs(kind("counter", {"execute": {}}))
    plugin("same", SHARED, at="a", files={"state.py": "calls = 0\n"})
    plugin("same", SHARED, at="b", kind="counter", files={"state.py": "calls = 0\n"})
    registry.discover(plugins)
    with registry.running():
        assert registry.get_plugin("tool", "same").execute() == 1
        assert registry.get_plugin("counter", "same").execute() == 1


def test_two_registries_share_no_modules(plugin: WritePlugin, loaded: LoadedModules) -> None:
    folder = plugin("same", SHARED, files={"state.py": "calls = 0\n"})
    first, second = PluginRegistry(), PluginRegistry()
    first.discover(folder)
    second.discover(folder)
    assert [answer(first, "same"), answer(second, "same"), answer(first, "same")] == [1, 1, 2]
    assert {f"{PACKAGE}.same.plugin", f"{PACKAGE}.same_2.plugin"} <= loaded()


def test_a_suffix_never_meets_a_name(plugin: WritePlugin, plugins: Path) -> None:
    plugin("same", at="a")
    plugin("same_2", at="b")
    registries = [PluginRegistry() for _ in range(3)]
    for registry in registries:
        assert len(registry.discover(plugins)) == 2
    assert [answer(registry, name, n=1) for registry in registries for name in ("same", "same_2")] == [{"n": 1}] * 6


async def test_unregistering_removes_the_modules(
    registry: PluginRegistry, plugin: WritePlugin, loaded: LoadedModules, plugins: Path
) -> None:
    plugin("same", SHARED, files={"state.py": "from .sub import inner\n", "sub/inner.py": "", "__init__.py": ""})
    plugin("same-too")
    registry.discover(plugins)
    package = f"{PACKAGE}.same"
    assert {f"{package}.plugin", f"{package}.state", f"{package}.sub.inner", package} <= loaded()
    await registry.unregister("tool", "same")
    assert loaded() == {f"{PACKAGE}.same-too", f"{PACKAGE}.same-too.plugin"}


@pytest.mark.usefixtures("loaded")
async def test_what_was_unregistered_is_freed(registry: PluginRegistry, plugin: WritePlugin) -> None:
    registry.discover(plugin("echo"))
    async with registry.running():
        registry.get_plugin("tool", "echo").execute(a=1)
    made = weakref.ref(sys.modules[f"{PACKAGE}.echo.plugin"].Echo)
    await registry.unregister("tool", "echo")
    gc.collect()
    assert made() is None


async def test_what_was_unregistered_loads_afresh(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", "class Echo:\n    def execute(self): return 'old'\n")
    registry.discover(folder)
    await registry.unregister("tool", "echo")
    assert registry.status() == []
    plugin("echo", "class Echo:\n    def execute(self): return 'newer'\n")
    assert [manifest.name for manifest in registry.discover(folder)] == ["echo"]
    async with registry.running():
        assert registry.get_plugin("tool", "echo").execute() == "newer"


def test_dropping_the_registry_removes_its_modules(
    plugin: WritePlugin, plugins: Path, loaded: LoadedModules, kind: WriteKind
) -> None:
    plugin("one", files={"__init__.py": ""})
    plugin("two", kind="later")
    dropped, kept = PluginRegistry(), PluginRegistry()
    dropped.discover(plugins)
    dropped.add_hookspecs(kind("later", {"execute": {}}))
    kept.discover(plugins)
    with dropped.running():
        assert dropped.get_plugin("later", "two").execute(a=1) == {"a": 1}
    del dropped
    gc.collect()
    assert loaded() == {f"{PACKAGE}.one_2", f"{PACKAGE}.one_2.plugin"}
    assert answer(kept, "one", n=1) == {"n": 1}


def test_a_discovery_that_failed_keeps_no_registry_alive(plugin: WritePlugin, plugins: Path) -> None:
    plugin("faulty", "1 / 0")
    plugin("unmade", "class Echo:\n    def __init__(self): raise ValueError\n    def execute(self): ...\n")
    plugin("waits", kind="unknown")
    registry = PluginRegistry()
    registry.discover(plugins)
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None


def test_registries_may_discover_in_several_threads(plugin: WritePlugin, plugins: Path) -> None:
    for number in range(5):
        plugin(f"p{number}", SHARED, files={"state.py": "calls = 0\n"})
    registries = [PluginRegistry() for _ in range(8)]
    start = threading.Barrier(len(registries))
    failures: list[BaseException] = []

    def work(registry: PluginRegistry) -> None:
        try:
            start.wait()
            assert len(registry.discover(plugins)) == 5
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(registry,)) for registry in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [answer(registry, "p0") for registry in registries] == [1] * len(registries)


# Said once


def test_each_fault_is_logged_once(
    registry: PluginRegistry, plugin: WritePlugin, plugins: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin("good")
    plugin("broken", "1 / 0")
    plugin("Unreadable")
    plugin("waits", kind="unknown")
    with caplog.at_level(logging.DEBUG, "dagstack_plugins"):
        registry.discover(plugins)
        said = [record.getMessage() for record in caplog.records]
        registry.discover(plugins)
    assert len(said) == 3
    for name in ("broken", "Unreadable", "waits"):
        assert sum(str(plugins / name) in message for message in said) == 1
    assert [record.getMessage() for record in caplog.records] == said


def test_a_method_that_is_nearly_a_hook_is_a_slip(registry: PluginRegistry, plugin: WritePlugin) -> None:
    folder = plugin("echo", "class Echo:\n    def exeucte(self, args):\n        return args\n")
    assert "Echo has 'exeucte', did you mean 'execute'?" in refusal(registry, folder)


async def test_modules_that_are_no_attribute_of_their_package_are_removed_too(
    registry: PluginRegistry, plugin: WritePlugin, loaded: LoadedModules
) -> None:
    code = "from . import X\nclass Echo:\n    def execute(self, args):\n        return X\n"
    for folder, value in (("one", 1), ("two", 2)):
        files = {"__init__.py": "from . import helper\nX = helper.X\ndel helper\n", "helper.py": f"X = {value}\n"}
        registry.discover(plugin("echo", code, at=f"{folder}/echo", files=files))
        async with registry.running():
            assert registry.get_plugin("tool", "echo").execute() == value
        await registry.unregister("tool", "echo")
        assert not loaded()


def test_a_package_that_failed_to_import_is_read_anew(
    registry: PluginRegistry, plugin: WritePlugin, loaded: LoadedModules
) -> None:
    code = "from .sub import X\nclass Echo:\n    def execute(self, args):\n        return X\n"
    broken = "from .impl import X\nraise RuntimeError('not configured')\n"
    folder = plugin("echo", code, files={"sub/__init__.py": broken, "sub/impl.py": "X = 'old'\n"})
    assert "not configured" in refusal(registry, folder)
    assert not loaded()
    (folder / "sub/__init__.py").write_text("from .impl import X\n")
    (folder / "sub/impl.py").write_text("X = 'new value'\n")
    registry.discover(folder)
    with registry.running():
        assert registry.get_plugin("tool", "echo").execute() == "new value"


def test_a_method_that_is_nearly_another_hook_is_warned_of(
    registry: PluginRegistry, plugin: WritePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    methods = "    def execute(self, args): ...\n    def get_shema(self): ...\n    def helper(self): ...\n"
    registry.discover(plugin("echo", f"class Echo:\n{methods}"))
    (record,) = caplog.records
    told = "plugin tool/echo: 'get_shema' is no hook of its kind, and nothing calls it; did you mean 'get_schema'?"
    assert record.getMessage() == told


def test_a_kind_whose_only_plugin_was_refused_names_it(registry: PluginRegistry, tmp_path: Path) -> None:
    (tmp_path / "plugins/broken").mkdir(parents=True)
    (tmp_path / "plugins/broken/dagstack.toml").write_text("[plugin\n")
    registry.discover(tmp_path / "plugins")
    with registry.running(), pytest.raises(KindUnknown, match=r"refused, see registry\.status\(\): .*broken"):
        registry.get_plugin("tool")
