"""Plugins to try the contract's checks on: each a file whose docstring is its manifest, or a folder."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Any

import pytest

collect_ignore = ["plugins"]

HERE = Path(__file__).parent
KINDS = HERE / "kinds"
DEFAULTS = {"kind": '"tool"', "runtime": '"in_process"', "core_version": '">=0.1,<2"'}


def materialised(source: Path, folder: Path) -> Path:
    """A plugin's folder, made from its file or copied."""
    made = folder / source.stem
    if source.is_dir():
        shutil.copytree(source, made, ignore=shutil.ignore_patterns("__pycache__"))
        return made
    made.mkdir(parents=True)
    code = source.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(code)) or ""
    given = docstring.partition("\n\n")[2]
    top = given.partition("\n[")[0] if not given.startswith("[") else ""
    tables = given[len(top) :]
    said = {line.partition("=")[0].strip() for line in top.splitlines()}
    fields = {"name": f'"{source.stem}"'} | DEFAULTS
    defaults = "".join(f"{field} = {value}\n" for field, value in fields.items() if field not in said)
    below = "\n".join(f"[plugin.{line[1:]}" if line.startswith("[") else line for line in tables.splitlines())
    (made / "dagstack.toml").write_text(f"[plugin]\n{defaults}{top}\n{below}\n", encoding="utf-8")
    (made / "plugin.py").write_text(code.rstrip() + "\n", encoding="utf-8")
    return made


def _sources(check: str, which: str) -> list[Path]:
    folder = HERE / "plugins" / check / which
    return sorted(path for path in folder.iterdir() if path.suffix == ".py" or (path / "dagstack.toml").exists())


@pytest.fixture(scope="session")
def make_plugin() -> Any:
    return materialised
