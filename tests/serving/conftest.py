"""Plugins of a kind that has all that may be served, and the commands that serve them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "dagstack_plugins"]
KIND = """
kind: shop
kind_api_version: 1.0.0
hooks:
  - name: price
    dispatch: singleton
    selection: named
    description: The price of a thing.
    input_schema: schemas/price.json
    output_schema:
      type: object
      required: [cents]
      properties: {cents: {type: integer}}
  - name: count
    dispatch: singleton
    selection: named
    output_schema: {type: integer}
  - name: hidden
    dispatch: singleton
    selection: named
    required: false
    mcp_exposed: false
"""
SCHEMA = {
    "type": "object",
    "required": ["thing"],
    "properties": {"thing": {"$ref": "#/$defs/thing"}, "wait": {"type": "number", "default": 0}},
    "$defs": {"thing": {"type": "string", "minLength": 2}, "unused": {"type": "null"}},
}
PLUGIN = """
import asyncio, os, sys, time


class Shop:
    def setup(self, ctx):
        print("set up, on standard output")
        self.ctx = ctx
        if ctx.config.get("fail"):
            raise ValueError("closed today")

    def price(self, thing, wait):
        time.sleep(wait)
        print("a price was asked for")
        if thing == "nothing":
            raise LookupError("it has no price")
        if thing == "odd":
            return {"cents": 1, None: 2}
        if thing == "tenant":
            return {"cents": len(self.ctx.metadata.get("tenant", ""))}
        return {"cents": len(thing) * self.ctx.config.get("factor", 1)}

    def count(self):
        return 3

    def hidden(self):
        return None
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A kind, and a folder of plugins."""
    (tmp_path / "kinds" / "shop" / "schemas").mkdir(parents=True)
    (tmp_path / "kinds" / "shop" / "v1.yaml").write_text(KIND)
    (tmp_path / "kinds" / "shop" / "schemas" / "price.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "plugins").mkdir()
    return tmp_path


def write(project: Path, name: str, code: str = PLUGIN, **fields: Any) -> Path:
    folder = project / "plugins" / name
    folder.mkdir()
    manifest = {"name": name, "kind": "shop", "core_version": ">=0.1", "runtime": "in_process", **fields}
    (folder / "dagstack.json").write_text(json.dumps({"plugin": manifest}))
    (folder / "plugin.py").write_text(textwrap.dedent(code))
    return folder


@pytest.fixture
def by_http(project: Path) -> Iterator[Callable[..., tuple[str, subprocess.Popen[str]]]]:
    """Serve over HTTP; gives the address."""
    running: list[subprocess.Popen[str]] = []

    def serve(*arguments: str, host: str = "127.0.0.1", **environment: str) -> tuple[str, subprocess.Popen[str]]:
        command = [*COMMAND, *arguments, "--http", f"{host}:0"]
        env = {**os.environ, **environment}
        process = subprocess.Popen(command, cwd=project, env=env, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stderr is not None
        told = ""
        while "served at" not in told:
            line = process.stderr.readline()
            assert line, told
            told += line
        return told.split()[-1], process

    yield serve
    for process in running:
        process.kill()
        process.communicate()
