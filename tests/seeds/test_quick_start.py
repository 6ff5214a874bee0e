"""The quick start: a manifest, a plugin, a program."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from dagstack.plugin_system import PluginContext, PluginRegistry

MANIFEST = """
    [plugin]
    schema_version = "1"
    name = "echo"
    kind = "tool"
    kind_api_version = "1"
    core_version = ">=0.1.0,<1.0.0"
    runtime = "in_process"
    license = "Apache-2.0"
    entry_point = "plugin:EchoTool"
"""

# As printed, the class is called EchoPlugin, which is not what the manifest names.
PLUGIN = '''
    from dagstack.plugin_system import PluginContext


    class EchoPlugin:
        """Returns the input message wrapped under the `echoed` key.

        Mirrors the canonical `examples/echo_plugin.EchoTool` shipped
        with the binding. Both sync and async `setup` / `teardown` are
        accepted by the registry; the published example uses sync.
        """

        def setup(self, context: PluginContext) -> None:
            self._ctx = context

        def execute(self, args: dict) -> dict:
            return {"echoed": args["msg"]}

        def teardown(self) -> None:
            self._ctx = None
'''

MAIN = """
    import asyncio
    import logging
    from dagstack.plugin_system import PluginContext, PluginRegistry


    async def main() -> None:
        registry = PluginRegistry()
        registry.discover("plugins/")

        ctx = PluginContext(
            config={},
            logger=logging.getLogger("app"),
            registry=registry,
        )
        await registry.setup_all(ctx)

        for manifest in registry.list_manifests():
            print(manifest.kind, manifest.name)

        %s
        await registry.teardown_all()


    asyncio.run(main())
"""

CALL = """
        echo = registry.get_plugin("tool", name="echo")
        result = echo.execute({"msg": "hello"})
        assert result == {"echoed": "hello"}
"""


def test_the_corrected_pair_runs(write: Any) -> None:
    write("plugins/echo/dagstack.toml", MANIFEST.replace("EchoTool", "EchoPlugin"))
    write("plugins/echo/plugin.py", PLUGIN)
    main = write("main.py", MAIN % CALL.strip())
    done = subprocess.run([sys.executable, main], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "tool echo\n"), done.stderr


async def test_as_printed_the_manifest_names_another_class(write: Any, caplog: pytest.LogCaptureFixture) -> None:
    write("plugins/echo/dagstack.toml", MANIFEST)
    write("plugins/echo/plugin.py", PLUGIN)
    registry = PluginRegistry()
    assert registry.discover("plugins/") == []
    (status,) = registry.status()
    assert status.state == "unavailable"
    assert "no class 'EchoTool'" in status.reason
    assert "EchoPlugin" in status.reason
    assert "entry_point" in status.reason
    assert len(caplog.records) == 1
    await registry.setup_all(PluginContext(registry=registry))
    assert registry.unavailable_plugins() == registry.status()
