"""Writing a plugin: a chunker, checked locally."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

MANIFEST = """
    [plugin]
    name = "fixed"
    kind = "chunker"
    runtime = "in_process"
    core_version = ">=0.1.0,<1.0.0"
    entry_point = "plugin:FixedChunker"
    version = "0.1.0"
    description = "Fixed chunker — splits text into pieces of equal length."
    execution_model = "sync" # hook execution style: sync | async | thread_cpu_bound | process_cpu_bound

    [plugin.resources]
    required = ["clock"]
"""

PLUGIN = '''
    from dataclasses import dataclass
    from dagstack.plugin_system import PluginContext


    @dataclass
    class Chunk:
        text: str
        offset: int


    class FixedChunker:
        """Splits the input text into fragments of exactly max_size characters."""

        async def setup(self, context: PluginContext) -> None:
            self._clock = context.resources.clock

        def chunk(self, text: str, max_size: int = 512) -> list[Chunk]:
            if max_size <= 0:
                raise ValueError("max_size must be positive")
            return [
                Chunk(text=text[i : i + max_size], offset=i)
                for i in range(0, len(text), max_size)
            ]

        async def teardown(self) -> None:
            pass
'''

SMOKE = """
    import asyncio
    import logging
    from dagstack.plugin_system import PluginContext, PluginRegistry

    async def main() -> None:
        registry = PluginRegistry()
        registry.discover("plugins/")
        ctx = PluginContext(
            config={},
            logger=logging.getLogger("smoke"),
            registry=registry,
        )
        await registry.setup_all(ctx)
        try:
            chunker = registry.get_plugin("chunker", name="fixed")
            pieces = chunker.chunk("Hello, dagstack!", max_size=5)
            assert [p.text for p in pieces] == ["Hello", ", dag", "stack", "!"]
            %s
        finally:
            await registry.teardown_all()

    asyncio.run(main())
"""

# What the plugin's own error and default become, seen by a caller.
BEYOND = """
            assert [p.offset for p in pieces] == [0, 5, 10, 15]
            assert len(chunker.chunk("x" * 1000)) == 2
            try:
                chunker.chunk("x", max_size=0)
            except ValueError as error:
                assert str(error) == "max_size must be positive"
                assert "fixed" in error.__notes__[0]
            else:
                raise AssertionError("the plugin's error was lost")
"""


def test_the_local_verification_passes(write: Any) -> None:
    write("plugins/fixed-chunker/dagstack.toml", MANIFEST)
    write("plugins/fixed-chunker/plugin.py", PLUGIN)
    main = write("smoke.py", SMOKE % BEYOND.strip())
    done = subprocess.run([sys.executable, main], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


CONTRACT = """
    from dagstack.plugin_system import (
        load_manifest,
        run_contract_suite,
        ALL_CHECKS,
    )
    from plugins.fixed_chunker.plugin import FixedChunker


    def test_contract():
        manifest = load_manifest("plugins/fixed-chunker/dagstack.toml")
        result = run_contract_suite(
            plugin_class=FixedChunker,
            manifest=manifest,
            checks=ALL_CHECKS,
        )
        assert result.ok, result.format_failures()
"""


def test_the_contract_tests_pass(write: Any, tmp_path: Path) -> None:
    write("plugins/fixed-chunker/dagstack.toml", MANIFEST)
    write("plugins/fixed-chunker/plugin.py", PLUGIN)
    # The document imports from a name that its folder does not have; a link gives it both.
    (tmp_path / "plugins/fixed_chunker").symlink_to("fixed-chunker")
    write("test_contract.py", CONTRACT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_contract.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_contract_holds_for_the_folder_too(write: Any, tmp_path: Path) -> None:
    write("plugins/fixed-chunker/dagstack.toml", MANIFEST)
    write("plugins/fixed-chunker/plugin.py", PLUGIN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--contracts", "plugins"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed, 5 skipped" in done.stdout
