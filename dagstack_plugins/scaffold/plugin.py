"""A new plugin: a folder that passes ``check`` and the contract suite at once, or a package around one."""

from __future__ import annotations

import ast
import keyword
import re
import sys
import textwrap
from typing import Any, Final

from dagstack_plugins.kinds.builtin import MIDDLEWARE, builtin_hookspec
from dagstack_plugins.kinds.literals import docstring, literal
from dagstack_plugins.kinds.model import Dispatch, Hook, Kind
from dagstack_plugins.kinds.payloads import PayloadTypes, pascal
from dagstack_plugins.kinds.properties import properties, types
from dagstack_plugins.kinds.schemas import Schema
from dagstack_plugins.scaffold.sample import sample
from dagstack_plugins.version import VERSION
from dagstack_plugins.wording import shown

_NAME: Final = re.compile("[a-z0-9][a-z0-9_-]*")
_MANY: Final = 4
"""Properties that still read well as parameters."""
_PYTHON: Final = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list[Any]",
    "object": "Any",
    "null": "None",
}
_NO_PARAMETERS: Final = frozenset({"self", "ctx", "context"})
_WIDTH: Final = 100


def new_plugin(name: str, kind: Kind) -> dict[str, str]:
    """The files of a new plugin.

    Args:
        name: the plugin's name.
        kind: its kind.

    Returns:
        Their names below the folder of plugins, and their texts.

    Raises:
        ValueError: if the name is none for a plugin.
    """
    _check(name)
    return {f"{name}/dagstack.toml": _manifest(name, kind), f"{name}/plugin.py": _code(name, kind)}


def new_package(name: str, kind: Kind) -> dict[str, str]:
    """The files of a new project, which pip can install, with a plugin in it.

    Args:
        name: the plugin's name, and the distribution's.
        kind: its kind; where it is not built in, its hookspec goes with the tests.

    Returns:
        Their names below the folder of the project, and their texts.

    Raises:
        ValueError: if the name is none for a plugin, or for a module.
    """
    _check(name)
    module = name.replace("-", "_")
    taken = module in sys.stdlib_module_names or module in ("dagstack", "dagstack_plugins")
    if not module.isidentifier() or keyword.iskeyword(module) or taken or not name[-1].isalnum():
        why = "is a module that is there already" if taken else "is no name for a package"
        raise ValueError(f"{module!r} {why}; give the package a longer name, such as {f'{kind.name}-{name}'!r}")
    source = f"{name}/src/{module}"
    files = {
        f"{name}/pyproject.toml": _PYPROJECT.format(
            name=name, module=module, cls=_class(name), core=_core_version(), kind=kind.name
        ),
        f"{name}/README.md": _README.format(name=name, kind=kind.name),
        f"{source}/__init__.py": f'"""The plugin {name!r} of kind {kind.name!r}."""\n',
        f"{source}/dagstack.toml": _manifest(name, kind),
        f"{source}/plugin.py": _code(name, kind),
        f"{name}/tests/test_{module}.py": _tests(module, kind),
    }
    return files | {f"{name}/kinds/{kind.name}/{path}": text for path, text in _hookspec(kind).items()}


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is no name for a plugin: lower-case letters, digits, - and _, a letter or digit first"
        )


def _class(name: str) -> str:
    return pascal(name.replace("-", "_"))


def _core_version() -> str:
    major, minor = VERSION.split(".")[:2]
    return f">={major}.{minor},<{int(major) + 1}"


# --- the manifest -----------------------------------------------------------------------------------------------------


def _manifest(name: str, kind: Kind) -> str:
    lines = [
        "[plugin]",
        f'name = "{name}"',
        f'kind = "{kind.name}"',
        f'kind_api_version = "{kind.major}.{kind.minor}"',
        f'core_version = "{_core_version()}"',
        'runtime = "in_process"',
        'version = "0.1.0"',
        'description = "What it does."',
        *(['execution_model = "async"'] if _is_async(kind) else []),
    ]
    return "\n".join([*lines, ""])


def _is_async(kind: Kind) -> bool:
    return any(hook.is_async for hook in _hooks(kind))


def _hooks(kind: Kind) -> list[Hook]:
    """The hooks that a new plugin has: those that it must have, or else all."""
    return [hook for hook in kind.hooks.values() if hook.required] or list(kind.hooks.values())


# --- the code ---------------------------------------------------------------------------------------------------------


def _code(name: str, kind: Kind) -> str:
    methods = "\n".join(_method(kind, hook) for hook in _hooks(kind))
    head = f'"""The plugin {name!r} of kind {kind.name!r}."""\n\nfrom __future__ import annotations\n'
    typing = "\nfrom typing import Any\n" if "Any" in methods else ""
    return f'{head}{typing}\n\nclass {_class(name)}:\n    """What it does."""\n\n{methods}'


def _method(kind: Kind, hook: Hook) -> str:
    parameters, whole = _parameters(kind, hook)
    answer, returned = _answer(kind, hook, whole)
    # All of them where one is: the manifest says `async` of the whole plugin, and the contract suite checks that.
    word = "async def" if _is_async(kind) else "def"
    lines = [f"    {word} {hook.name}({', '.join(['self', *parameters])}) -> {returned}:"]
    lines += textwrap.indent(docstring(hook.description or "What it does.", _WIDTH), "        ").splitlines()
    if answer not in (None, "None"):
        lines.append(f"        return {answer}")
    return "\n".join([*lines, ""])


def _parameters(kind: Kind, hook: Hook) -> tuple[list[str], str | None]:
    """The parameters of a method, and the name of the one that takes the whole payload, if one does."""
    declared, required = properties(hook.input_schema, kind.schemas) if hook.input_schema is not None else ({}, set())
    fine = all(_is_name(name) for name in declared)
    if not declared or not fine or len(declared) > _MANY or hook.dispatch is Dispatch.CHAIN:
        whole = "payload" if hook.input_schema is not None else "args"
        return [f"{whole}: Any"], whole
    first, later = [], []
    for name, schema in declared.items():
        has_default = isinstance(schema.body, dict) and "default" in schema.body
        if name in required or has_default:
            first.append(f"{name}: {_type(kind, schema)}")
        else:
            later.append(f"{name}: {_optional(_type(kind, schema))} = None")
    return [*first, *later], None


def _is_name(name: str) -> bool:
    return name.isidentifier() and name.isascii() and not keyword.iskeyword(name) and name not in _NO_PARAMETERS


def _type(kind: Kind, schema: Schema) -> str:
    said = types(schema, kind.schemas)
    if not said:
        return "Any"
    names = sorted({_PYTHON[name] for name in said}, key=lambda name: name == "None")
    return "Any" if "Any" in names else " | ".join(names)


def _optional(annotation: str) -> str:
    return annotation if annotation == "Any" or annotation.endswith("None") else f"{annotation} | None"


def _answer(kind: Kind, hook: Hook, whole: str | None) -> tuple[str | None, str]:
    """What a method returns, as code, and its type."""
    schema = hook.output_schema
    if hook.dispatch is Dispatch.BROADCAST_NOTIFY or kind.name == MIDDLEWARE:
        return None, "None"
    if hook.dispatch is Dispatch.CHAIN and whole is not None and _same(hook):
        return whole, "Any"
    if schema is None:
        return "{}", "Any"
    return _shown_sample(kind, schema), _type(kind, schema)


def _same(hook: Hook) -> bool:
    return hook.output_schema is None or hook.input_schema is None or hook.output_schema.body == hook.input_schema.body


def _shown_sample(kind: Kind, schema: Schema) -> str:
    try:
        return literal(sample(schema, kind.schemas), _WIDTH, indent=8)
    except LookupError:
        return "{}"


# --- the package ------------------------------------------------------------------------------------------------------

_PYPROJECT: Final = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
description = "A plugin of kind {kind}."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["dagstack-plugins{core}"]

[project.optional-dependencies]
test = ["dagstack-plugins[contract]", "pytest"]

[project.entry-points."dagstack.plugins"]
{name} = "{module}.plugin:{cls}"

[tool.hatch.build.targets.wheel]
packages = ["src/{module}"]
"""

_README: Final = """\
# {name}

A plugin of kind `{kind}`. Hosts that call `registry.load_entry_points()` find it once it is installed:

```bash
pip install .
dagstack-plugins list --installed
```

Its tests, the contract suite among them:

```bash
pip install -e '.[test]'
pytest
```
"""

_TESTS: Final = '''\
"""The plugin keeps its contract, and does what it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).parent.parent / "src" / "{module}"


def test_it_keeps_its_contract(contract_suite: Any) -> None:
    result = contract_suite(manifest=PLUGIN)
    assert result.ok, result.format_failures()
'''

_CALL: Final = """

def test_{hook}(load_plugin: Any) -> None:
    plugin = load_plugin(PLUGIN)
    assert plugin.sync.{hook}({given}) {expected}
"""


def _tests(module: str, kind: Kind) -> str:
    return _TESTS.format(module=module) + "".join(_call_of(kind, hook) for hook in _hooks(kind)[:1])


def _call_of(kind: Kind, hook: Hook) -> str:
    if kind.name == MIDDLEWARE:  # nobody calls it
        return ""
    try:
        given = sample(hook.input_schema, kind.schemas) if hook.input_schema is not None else {}
    except LookupError:
        return ""
    answer, _ = _answer(kind, hook, "payload" if hook.dispatch is Dispatch.CHAIN else None)
    shown_input = literal(given, _WIDTH, indent=4)
    expected = "is None" if answer is None else f"== {_answered(kind, hook, given, answer)}"
    return _CALL.format(hook=hook.name, given=shown_input, expected=expected)


def _answered(kind: Kind, hook: Hook, given: Any, answer: str) -> str:
    """What a caller gets for an input: the answer, with the defaults of the schemas filled in."""
    types = PayloadTypes.of(kind)
    taken, returned = types.inputs[hook.name].fill, types.outputs[hook.name].fill
    value = (taken(given) if taken else given) if answer == "payload" else ast.literal_eval(answer)
    return literal(returned(value) if returned else value, _WIDTH, indent=4)


def _hookspec(kind: Kind) -> dict[str, str]:
    """The files that declare a kind, for the tests of its plugins; none for a kind that is built in."""
    if kind.file is None or builtin_hookspec(kind.name) is not None:
        return {}
    texts = {name: (kind.file.parent / name).read_text("utf-8") for name in kind.schemas.bodies}
    return {f"v{kind.major}.yaml": kind.file.read_text("utf-8"), **texts}
