"""What the documentation site is made of beside its pages: README, examples, and reference pages made from the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

import dagstack_plugins
import dagstack_plugins.dag as dag
from dagstack_plugins.cli.app import NAME, commands
from dagstack_plugins.kinds.builtin import builtin_hookspecs
from dagstack_plugins.kinds.emit.markdown import emit_markdown
from dagstack_plugins.kinds.hookspec import hookspec_files, hookspec_schema, read_hookspec
from dagstack_plugins.manifest import manifest_schema

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[([^\]]+)\]\(((?!https?://|#)[^)#\s]+)(#[^)]*)?\)")
EXAMPLES = sorted((ROOT / "examples").glob("*/README.md"))


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie elsewhere, or nowhere."""
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """The pages that are made, by their names."""
    return {
        "index.md": (ROOT / "README.md").read_text("utf-8"),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text("utf-8"),
        **{f"examples/{file.parent.name}.md": file.read_text("utf-8") for file in EXAMPLES},
        "reference/python.md": python_page(),
        "reference/manifest.md": manifest_page(),
        "reference/hookspec.md": hookspec_page(),
        "reference/errors.md": errors_page(),
        "reference/commands.md": commands_page(),
        "reference/kinds.md": kinds_page(),
    }


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links between files of the repository become links between pages; those to other files, their names."""
    source = page.file.src_uri

    def moved(found: re.Match[str]) -> str:
        target = (Path("/docs") / Path(source).parent / found[2]) if source not in MOVED else MOVED[source] / found[2]
        name = PAGES.get(str(target.resolve()).removeprefix("/"))
        if name is None:
            return found[1]
        up = "../" * source.count("/")
        return f"[{found[1]}]({up}{name}{found[3] or ''})"

    return LINK.sub(moved, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """What docstrings say in another markup than these pages."""
    return re.sub(r"<p>\.\. versionadded:: ([\d.]+)</p>", r"<p><small>Since \1</small></p>", html)


MOVED = {
    "index.md": Path("/"),
    "changelog.md": Path("/"),
    **{f"examples/{file.parent.name}.md": Path("/examples") / file.parent.name for file in EXAMPLES},
}
"""Where pages lie in the repository that are not in the folder of pages."""
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    **{f"examples/{file.parent.name}/README.md": f"examples/{file.parent.name}.md" for file in EXAMPLES},
    **{f"docs/{file.name}": file.name for file in (ROOT / "docs").glob("*.md")},
    "hookspecs": "reference/kinds.md",
    "dagstack_plugins/manifest.schema.json": "reference/manifest.md",
    "dagstack_plugins/kinds/hookspec.schema.json": "reference/hookspec.md",
}
"""Files of the repository that are pages of the site."""


# --- reference --------------------------------------------------------------------------------------------------------

ROOMS = {
    "Registry": ("registry", "context", "plugin", "progress", "checkpoints", "calls"),
    "Kinds and payloads": ("kinds", "manifest", "lock"),
    "Dispatch": ("dispatch", "discovery"),
    "Resources": ("resources",),
    "Middleware": ("middleware",),
    "Contract": ("contract",),
}


def python_page() -> str:
    """All public names, from their docstrings."""
    lines = [
        "# Python",
        "",
        "All names are imported from `dagstack_plugins`; each module is loaded when one of its names is.",
        "",
    ]
    for title, rooms in ROOMS.items():
        lines += [f"## {title}", ""]
        for module, names in dagstack_plugins._NAMES.items():
            if module.partition(".")[0] in rooms:
                lines += [f"::: dagstack_plugins.{module}.{name}\n" for name in names]
    lines += ["## Graphs", "", "These are imported from `dagstack_plugins.dag`.", ""]
    lines += [f"::: {_home(dag, name)}.{name}\n" for name in dag.__all__ if not name.lower().startswith("dagron")]
    return "\n".join(lines)


def _home(package: Any, name: str) -> str:
    return str(getattr(package, name).__module__)


def errors_page() -> str:
    """The errors, each with what it means."""
    lines = [
        "# Errors",
        "",
        "Every error is a `PluginRegistryError`; each is told with its cause, then its cure. Its message says what was",
        "found, where, and what to do; its",
        "attributes say the same to programs. Errors that plugin code raises in the host's process reach the caller",
        "as they are.",
        "",
    ]
    lines += [f"::: dagstack_plugins.errors.{name}\n" for name in dagstack_plugins._NAMES["errors"]]
    return "\n".join(lines)


def manifest_page() -> str:
    """The fields of a manifest, from its schema."""
    schema = manifest_schema()
    table = schema["properties"]["plugin"]
    lines = [
        "# The manifest",
        "",
        "`dagstack.toml` (table `[plugin]`), `dagstack.json` (object `plugin`) or `pyproject.toml` (table",
        "`[tool.dagstack.plugin]`); the first that is found in a folder counts. An unknown field is an error.",
        "",
        *fields(table, schema),
    ]
    for name, part in table["properties"].items():
        body = resolved(part, schema)
        if body.get("properties"):
            lines += ["", f"## `[plugin.{name}]`", "", body.get("description", ""), "", *fields(body, schema)]
    return "\n".join(lines)


def hookspec_page() -> str:
    """The fields of a hookspec, from its schema."""
    schema = hookspec_schema()
    lines = ["# The hookspec", "", "`<kind>/v<major>.yaml`, with its schemas beside it.", "", *fields(schema, schema)]
    lines += ["", "## `constraints`", "", *fields(schema["properties"]["constraints"], schema)]
    return "\n".join([*lines, "", "## `hooks`", "", *fields(schema["$defs"]["hook"], schema)])


def fields(body: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """A table of properties."""
    yield from ("| field | type | | |", "|---|---|---|---|")
    for name, part in body["properties"].items():
        one = resolved(part, schema)
        must = "required" if name in body.get("required", ()) else ""
        must = f"default `{one['default']}`" if "default" in one else must
        told = " ".join(one.get("description", "").split()).replace("|", "\\|")
        yield f"| `{name}` | {kind_of(one, schema)} | {must} | {told} |"


def resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A part with what it refers to; its own words win."""
    ref = part.get("$ref")
    target = schema["$defs"][ref.rpartition("/")[2]] if ref else {}
    return {**target, **part}


def kind_of(body: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The type of a field, for people."""
    if "enum" in body:
        return " \\| ".join(f"`{value}`" for value in body["enum"])
    if "const" in body:
        return f"`{body['const']}`"
    if "anyOf" in body:
        return " or ".join(dict.fromkeys(kind_of(resolved(one, schema), schema) for one in body["anyOf"]))
    given = body.get("type", "any")
    told = given if isinstance(given, str) else " or ".join(given)
    if told == "array" and isinstance(body.get("items"), dict):
        return f"list of {kind_of(resolved(body['items'], schema), schema)}"
    return told


def commands_page() -> str:
    """The help of all commands."""
    return "\n".join(["# Command line", "", *command_help(commands, NAME)])


def command_help(command: click.Command, name: str) -> Iterator[str]:
    """What a command says of itself, then its subcommands."""
    context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
    yield from (f"## `{name}`", "", "```text", command.get_help(context), "```", "")
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from command_help(inner, f"{name} {inner.name}")


def kinds_page() -> str:
    """The built-in kinds."""
    found = [emit_markdown(read_hookspec(file)) for file in hookspec_files(builtin_hookspecs())]
    return "# Built-in kinds\n\n" + "\n".join(re.sub("^#", "##", page, flags=re.M) for page in found)
