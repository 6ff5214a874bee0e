"""``dagstack-plugins emit``: a kind as Python, OpenRPC, JSON Schema or Markdown."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from dagstack_plugins.cli.options import FILE, examples
from dagstack_plugins.cli.output import complain, told_path, write_lines
from dagstack_plugins.kinds.emit.bundle import CannotEmit, emit_jsonschema
from dagstack_plugins.kinds.emit.markdown import emit_markdown
from dagstack_plugins.kinds.emit.openrpc import emit_openrpc
from dagstack_plugins.kinds.emit.python import emit_python
from dagstack_plugins.kinds.hookspec import read_hookspec
from dagstack_plugins.kinds.model import Kind


def _as_text(emitted: Callable[[Kind], Any]) -> Callable[[Kind], str]:
    return lambda kind: json.dumps(emitted(kind), indent=2, ensure_ascii=False) + "\n"


_EMITTERS: Final[Mapping[str, Callable[[Kind], str]]] = {
    "python": emit_python,
    "openrpc": _as_text(emit_openrpc),
    "jsonschema": _as_text(emit_jsonschema),
    "markdown": emit_markdown,
}


@click.command(
    epilog=examples(
        "dagstack-plugins emit kinds/greeter/v1.yaml --to python --out host/greeter.py",
        "dagstack-plugins emit kinds/greeter/v1.yaml --to python --out host/greeter.py --check",
        "dagstack-plugins emit kinds/greeter/v1.yaml --to markdown",
    )
)
@click.argument("hookspec", metavar="KIND.yaml", type=FILE)
@click.option("--to", "target", type=click.Choice(list(_EMITTERS)), required=True, help="What is written.")
@click.option(
    "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Where to. Default: standard output."
)
@click.option("--check", is_flag=True, help="Write nothing; fail if --out is not what would be written.")
def emit(hookspec: Path, target: str, out: Path | None, check: bool) -> int:
    """Write a kind in another language.

    python: a module with payload classes, a protocol for plugins, and a class for add_hookspecs and get_plugin, which
    type checkers follow down to the fields of results. openrpc, jsonschema: one document. markdown: a page. What is
    written is committed; --check, which looks past layout, tells in CI when it is stale.
    """
    if check and out is None:
        raise click.UsageError("--check compares with --out FILE")
    kind = read_hookspec(hookspec)
    try:
        text = _EMITTERS[target](kind)
    except CannotEmit as error:
        complain(f"{told_path(hookspec.absolute())}: {error}")
        return 1
    if out is None:
        write_lines(text.rstrip("\n"))
        return 0
    if out.exists() and out.samefile(hookspec):
        raise click.UsageError(f"--out {out} is the hookspec itself, which is not overwritten; name another file")
    if check:
        return _checked(out, text, target)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8", newline="\n")
    return 0


def _checked(out: Path, text: str, target: str) -> int:
    place = told_path(out.absolute())
    if not out.exists():
        complain(f"there is no {place}; without --check it is written")
        return 1
    try:
        found = out.read_text("utf-8")
        same = _meaning(found, target) == _meaning(text, target)
    except (SyntaxError, ValueError) as error:
        complain(f"{place} is no {target} any more: {error}; without --check it is written anew")
        return 1
    if not same:
        complain(f"{place} is stale; without --check it is written anew")
    return 0 if same else 1


def _meaning(text: str, target: str) -> object:
    """What counts of a document: not how a formatter laid it out."""
    if target == "python":
        return ast.dump(ast.parse(text))
    return text if target == "markdown" else json.loads(text)
