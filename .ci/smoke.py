"""What an installed wheel must do: find built-in kinds, let a plugin answer, ship its types, under both paths."""

from importlib.metadata import version
from pathlib import Path

import dagstack_plugins
from dagstack.plugin_system import PluginRegistry
from dagstack_plugins.dag import DAG, DAGExecutor, DashboardPlugin

assert version("dagstack-plugins") == dagstack_plugins.__version__
assert (Path(dagstack_plugins.__file__).parent / "py.typed").is_file()
assert PluginRegistry is dagstack_plugins.PluginRegistry


for name in dagstack_plugins.__all__:  # none of them needs an extra to be looked at
    getattr(dagstack_plugins, name)
needy = (
    (dagstack_plugins.HttpxClient, "[http]"),
    (lambda: dagstack_plugins.S3BlobStore("b"), "[s3]"),
    (lambda: dagstack_plugins.PostgresCheckpoints(""), "[postgres]"),
    (dagstack_plugins.run_contract_suite, "[contract]"),
)
for part, extra in needy:
    try:
        part()
    except ImportError as error:
        if extra not in str(error):
            raise
    else:
        raise AssertionError(f"{extra} is installed, though nobody asked for it")


page = Path(dagstack_plugins.__file__).parent / "dag/dashboard/static"
for file in ("index.html", "main.js", "vendor/dagre.min.js", "vendor/dagre.LICENSE", "vendor/d3-zoom.LICENSE"):
    assert (page / file).is_file(), file
graph = DAG()
graph.add_node("a")
assert DAGExecutor(graph).execute({"a": lambda: 1}).ok
try:
    DashboardPlugin()
except ImportError as error:
    if "[web]" not in error.__notes__[0]:
        raise
else:
    raise AssertionError("[web] is installed, though nobody asked for it")


class Echo:
    def execute(self, args: dict) -> dict:
        return {"echoed": args["msg"]}


registry = PluginRegistry()
kinds = {"tool", "orchestrator", "chunker", "dag_listener", "horizontal_middleware"}
assert kinds <= set(registry.kinds()), registry.kinds()
for kind in sorted(kinds):
    registry.types(kind)
registry.register(Echo, {"name": "echo", "kind": "tool", "runtime": "in_process", "core_version": ">=0.1"})
with registry.running():
    assert registry.get_plugin("tool", "echo").execute(msg="hello") == {"echoed": "hello"}
print(f"dagstack-plugins {dagstack_plugins.__version__}: the wheel works")
