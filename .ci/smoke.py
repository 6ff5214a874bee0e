"""What an installed wheel must do: find built-in kinds, let a plugin answer, ship its types, under both paths."""

from importlib.metadata import version
from pathlib import Path

import dagstack_plugins
from dagstack.plugin_system import PluginRegistry

assert version("dagstack-plugins") == dagstack_plugins.__version__
assert (Path(dagstack_plugins.__file__).parent / "py.typed").is_file()
assert PluginRegistry is dagstack_plugins.PluginRegistry


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
