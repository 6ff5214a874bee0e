"""Plugins with a fault planted: a fine plugin's source and manifest, changed in one way that one check must see.

An operator plants one kind of fault. It is a short function that edits a ``Draft``, and raises ``DoesNotFit`` where the
plugin has no place for the fault. All that is planted carries ``_planted`` in its name, so that nothing of the plugin's
is hidden.
"""

from __future__ import annotations

import ast
import copy
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from dagstack_plugins.kinds.hookspec import hookspec_files, read_hookspec
from dagstack_plugins.kinds.model import Dispatch, Hook, Kind
from dagstack_plugins.kinds.properties import properties, types
from dagstack_plugins.kinds.schemas import Schema

Function = ast.FunctionDef | ast.AsyncFunctionDef
CPU_BOUND: Final = ("thread_cpu_bound", "process_cpu_bound")
BUILTIN: Final = Path(__file__).parents[2] / "hookspecs"
HARMLESS_BASES: Final = ("object", "ABC", "Protocol", "Generic")


class DoesNotFit(Exception):
    """The plugin has no place for the fault."""


@attrs.frozen
class Specimen:
    """A plugin to plant faults in.

    Attributes:
        name: what it is called in reports.
        source: its ``plugin.py``.
        manifest: the table ``[plugin]`` of its manifest.
        kind: its kind.
    """

    name: str
    source: str
    manifest: Mapping[str, Any]
    kind: Kind

    @classmethod
    def of(cls, folder: Path, name: str, hookspecs: list[Path]) -> Specimen | None:
        """Read a plugin's folder; ``None`` if its class is not in ``plugin.py``, or its kind is unknown."""
        file = folder / "plugin.py"
        manifest = tomllib.loads((folder / "dagstack.toml").read_text(encoding="utf-8"))["plugin"]
        files = [found for path in (*hookspecs, BUILTIN) for found in hookspec_files(path)]
        kinds = {kind.name: kind for kind in map(read_hookspec, reversed(files))}
        if not file.exists() or manifest["kind"] not in kinds:
            return None
        return cls(name, file.read_text(encoding="utf-8"), manifest, kinds[manifest["kind"]])


@attrs.frozen
class Mutant:
    """A plugin with a fault.

    Attributes:
        specimen: the plugin without it.
        operator: the name of the operator that planted it.
        check: the check that must see it.
        source: the changed ``plugin.py``.
        manifest: the changed table ``[plugin]``.
    """

    specimen: Specimen
    operator: str
    check: str
    source: str
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """``operator@plugin``."""
        return f"{self.operator}@{self.specimen.name}"

    def write(self, folder: Path) -> None:
        """Take the place of the plugin in a folder."""
        (folder / "plugin.py").write_text(self.source, encoding="utf-8")
        if self.manifest != self.specimen.manifest:
            (folder / "dagstack.toml").write_text(toml({"plugin": self.manifest}), encoding="utf-8")


class Draft:
    """A plugin being changed.

    Attributes:
        manifest: its table ``[plugin]``, to be changed.
        tree: its source, to be changed.
        cls: its class.
        hook: the first of its methods that is a hook.
        told: what its kind says of that hook.
    """

    def __init__(self, specimen: Specimen) -> None:
        self.kind = specimen.kind
        self.manifest = copy.deepcopy(dict(specimen.manifest))
        self.tree = ast.parse(specimen.source)
        self.cls = _plugin_class(self.tree, specimen.kind)
        self.hook = _hook_method(self.cls, specimen.kind)
        self.told: Hook = specimen.kind.hooks[self.hook.name]

    # What it is

    @property
    def unit(self) -> dict[str, Any]:
        """``[unit_of_work]``; empty if it is not there."""
        return self.manifest.get("unit_of_work", {})

    @property
    def model(self) -> str:
        """The execution model."""
        return self.manifest.get("execution_model", "sync")

    @property
    def promises_bytes(self) -> bool:
        """Whether its outputs must be equal to the byte."""
        return self.unit.get("idempotency_mode") == "output_hash"

    @property
    def me(self) -> str:
        """What the hook calls its instance."""
        arguments = [*self.hook.args.posonlyargs, *self.hook.args.args]
        if not arguments or any(_name_of(one) in ("staticmethod", "classmethod") for one in self.hook.decorator_list):
            raise DoesNotFit
        return arguments[0].arg

    @property
    def parameters(self) -> list[str]:
        """The hook's parameters that come from the payload."""
        every = [*self.hook.args.posonlyargs, *self.hook.args.args][1:] + self.hook.args.kwonlyargs
        return [one.arg for one in every if one.arg not in ("ctx", "context")]

    def parameter(self, name: str) -> str:
        """How the hook reads a property of its payload."""
        if name in self.parameters:
            return name
        if len(self.parameters) == 1 and self.parameters[0] not in self.properties():
            return f"{self.parameters[0]}[{name!r}]"
        raise DoesNotFit

    def properties(self) -> dict[str, Schema]:
        """The properties that the hook's input has."""
        schema = self.told.input_schema
        return properties(schema, self.kind.schemas)[0] if schema is not None else {}

    def needs(self, condition: object) -> None:
        """Give up unless something holds."""
        if not condition:
            raise DoesNotFit

    def needs_attributes(self) -> None:
        """Give up if instances take no attributes beyond those that are named."""
        self.needs(not any("__slots__" in _names(node) for node in self.cls.body))
        self.needs(not self.cls.decorator_list)

    # Places to plant in

    def at_top(self, code: str) -> None:
        """Plant in the module, before everything but its docstring and the imports that must stay first."""
        body = self.tree.body
        place = sum(1 for node in body if _stays_first(node, body[0]))
        body[place:place] = ast.parse(code).body

    def in_class(self, code: str) -> None:
        """Plant in the class, before its methods."""
        place = 1 if _is_docstring(self.cls.body[0]) else 0
        self.cls.body[place:place] = ast.parse(code).body

    def in_hook(self, code: str) -> None:
        """Plant at the beginning of the hook."""
        _plant(self.hook, code)

    def in_setup(self, code: str) -> None:
        """Plant at the beginning of ``setup``, which is made if it is not there; ``self`` and ``ctx`` are known."""
        setup = self._method("setup", "self, ctx")
        arguments = setup.args.args
        self.needs(arguments and not setup.decorator_list)
        if len(arguments) == 1:
            arguments.append(ast.arg("ctx"))
        _plant(setup, f"self, ctx = {arguments[0].arg}, {arguments[1].arg}\n{code}")

    def after_teardown(self, code: str) -> None:
        """Plant at the end of ``teardown``, which is made if it is not there."""
        teardown = self._method("teardown", "self")
        guarded = ast.parse(f"try:\n    pass\nfinally:\n    {code}").body
        guarded[0].body = teardown.body  # type: ignore[attr-defined]
        teardown.body = guarded  # type: ignore[assignment]

    def _method(self, name: str, parameters: str) -> Function:
        found = [node for node in self.cls.body if name in _names(node)]
        if not found:
            # One that a base class may have would be hidden.
            self.needs(all(_name_of(base) in HARMLESS_BASES for base in self.cls.bases) and not self.cls.keywords)
            self.cls.body += ast.parse(f"def {name}({parameters}):\n    pass").body
            found = self.cls.body[-1:]
        self.needs(len(found) == 1 and isinstance(found[0], Function))
        return found[0]  # type: ignore[return-value]

    def on_return(self, code: str, extra: str = "None") -> None:
        """Pass what the hook returns through a function of ``made`` and ``extra``, whose body is given."""
        self.needs(not self.hook.decorator_list)  # a decorator has the last word on it
        returns = [node for node in _own_nodes(self.hook) if isinstance(node, ast.Return) and node.value is not None]
        self.needs(returns)
        for node in returns:
            call = ast.parse(f"_planted(None, {extra})", mode="eval").body
            assert isinstance(call, ast.Call)
            assert node.value is not None
            call.args[0] = node.value
            node.value = call
        body = "\n    ".join(f"{_AS_DICT}{code}".splitlines())
        self.at_top(f"def _planted(made, extra):\n    {body}")

    def in_output(self, extra: str) -> None:
        """Have a text appear in the output, where the hook's output schema allows any."""
        self.on_return(_with_text(self), extra)


_AS_DICT: Final = "if hasattr(made, 'to_dict'):\n    made = made.to_dict()\n"
_ANYWHERE: Final = """
if isinstance(made, dict):
    return {**made, 'planted': extra}
if isinstance(made, list):
    return [*made, extra]
return f'{made}{extra}'
"""
_IN_PROPERTY: Final = """
if isinstance(made, dict) and isinstance(made.get({name!r}), str):
    return {{**made, {name!r}: made[{name!r}] + extra}}
return made
"""
_IN_LIST: Final = """
if isinstance(made, dict) and isinstance(made.get({name!r}), list):
    return {{**made, {name!r}: [*made[{name!r}], extra]}}
return made
"""
_IN_ITEMS: Final = """
if isinstance(made, list):
    return [{{**one, {name!r}: extra}} for one in made]
return made
"""


def _with_text(draft: Draft) -> str:
    """Code that puts ``extra`` into ``made`` where the output schema says a text may be."""
    schema, files = draft.told.output_schema, draft.kind.schemas
    if schema is None:
        return _ANYWHERE
    for name, part in properties(schema, files)[0].items():
        if _is_any_text(part):
            return _IN_PROPERTY.format(name=name)
        if _is_any_text(part.part(_items(part))):
            return _IN_LIST.format(name=name)
    for name, part in properties(schema.part(_items(schema)), files)[0].items():
        if _is_any_text(part):
            return _IN_ITEMS.format(name=name)
    raise DoesNotFit


def _items(schema: Schema) -> Any:
    return schema.body.get("items", {}) if isinstance(schema.body, dict) else {}


def _is_any_text(schema: Schema) -> bool:
    body = schema.body
    return isinstance(body, dict) and body.get("type") == "string" and not {"enum", "maxLength", "pattern"} & set(body)


# --- syntax trees -----------------------------------------------------------------------------------------------------


def _plugin_class(tree: ast.Module, kind: Kind) -> ast.ClassDef:
    """The one class that has a hook of the kind for a method."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    found = [node for node in classes if any(name in kind.hooks for name in _methods(node)) and not _is_abstract(node)]
    if len(found) != 1:
        raise DoesNotFit
    return found[0]


def _is_abstract(node: ast.ClassDef) -> bool:
    return any(_name_of(one) == "abstractmethod" for method in _methods(node).values() for one in method.decorator_list)


def _hook_method(cls: ast.ClassDef, kind: Kind) -> Function:
    """The first hook, of those that do the kind's work if there are some."""
    schemas = {hook.input_schema_hook for hook in kind.hooks.values()}
    found = [method for name, method in _methods(cls).items() if name in kind.hooks]
    return next((method for method in found if method.name not in schemas), found[0])


def _methods(cls: ast.ClassDef) -> dict[str, Function]:
    return {node.name: node for node in cls.body if isinstance(node, Function)}


def _names(node: ast.stmt) -> set[str]:
    """The names that a statement of a class gives values to."""
    if isinstance(node, Function | ast.ClassDef):
        return {node.name}
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def _name_of(node: ast.expr) -> str:
    """``c`` of ``c``, ``a.c``, ``c(…)`` and ``c[…]``."""
    match node:
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return _name_of(inner)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _own_nodes(function: Function) -> list[ast.AST]:
    """All nodes of a function, without those of the functions in it."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return found


def _plant(function: Function, code: str) -> None:
    place = 1 if _is_docstring(function.body[0]) else 0
    function.body[place:place] = ast.parse(code).body


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _stays_first(node: ast.stmt, first: ast.stmt) -> bool:
    is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return is_future or (node is first and _is_docstring(node))


def toml(tables: Mapping[str, Any]) -> str:
    """A manifest as TOML, with inline tables all the way down."""
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{json.dumps(key)} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool | float) else str(value)


# --- operators --------------------------------------------------------------------------------------------------------

Edit = Callable[[Draft], "str | None"]


@attrs.frozen
class Operator:
    """One kind of fault.

    Attributes:
        name: what it is called in reports.
        check: the check that must see it; an edit may name another one.
        plants: the fault in a few words.
        edit: plants it; what it returns is the check, where that depends on the plugin.
    """

    name: str
    check: str
    plants: str
    edit: Edit

    def apply(self, specimen: Specimen) -> Mutant | None:
        """The plugin with the fault; ``None`` where it doesn't fit, or the manifest excuses it."""
        try:
            draft = Draft(specimen)
            check = self.edit(draft) or self.check
        except DoesNotFit:
            return None
        if check in draft.manifest.get("contract", {}).get("excused", {}):
            return None
        source = ast.unparse(ast.fix_missing_locations(draft.tree)) + "\n"
        return Mutant(specimen, self.name, check, source, draft.manifest)


OPERATORS: Final[dict[str, Operator]] = {}


def operator(check: str, plants: str) -> Callable[[Edit], Edit]:
    """Makes an operator of a function."""

    def register(edit: Edit) -> Edit:
        OPERATORS[edit.__name__] = Operator(edit.__name__, check, plants, edit)
        return edit

    return register


def _in_hook(name: str, check: str, plants: str, imports: str, code: str) -> None:
    """An operator that needs no more than an import and a statement at the beginning of the hook.

    What makes outputs differ is the business of another check where a plugin promises equal outputs; that is written
    ``check/other``.
    """
    usual, _, promised = check.partition("/")

    def edit(draft: Draft) -> str | None:
        draft.at_top(imports)
        draft.in_hook(code)
        return promised if promised and draft.promises_bytes else usual

    OPERATORS[name] = Operator(name, usual, plants, edit)


VARIES: Final = "ambient_state/determinism"
SUPPRESS: Final = "import contextlib as _planted_contextlib"

# What no host lent

_in_hook("clock", VARIES, "`time.time()`", "import time as _planted_time", "_planted_time.time()")
_in_hook(
    "clock_by_name", VARIES, "`now()`, imported by name", "from time import time as _planted_now", "_planted_now()"
)
_in_hook(
    "clock_of_datetime",
    VARIES,
    "`datetime.now()`",
    "from datetime import datetime as _planted_datetime",
    "_planted_datetime.now()",
)
_in_hook("random", VARIES, "`random.random()`", "import random as _planted_random", "_planted_random.random()")
_in_hook("uuid4", VARIES, "`uuid4()`", "from uuid import uuid4 as _planted_uuid", "_planted_uuid()")
_in_hook(
    "environment",
    "ambient_state",
    "`os.environ.get(…)`",
    "import os as _planted_os",
    "_planted_os.environ.get('PLANTED')",
)
_in_hook("directory", "ambient_state", "`os.getcwd()`", "import os as _planted_os", "_planted_os.getcwd()")
_in_hook(
    "module_cache",
    "ambient_state",
    "writes to a dictionary of the module",
    "_planted_cache = {}",
    "_planted_cache['n'] = 1",
)
_in_hook(
    "module_counter",
    "ambient_state",
    "counts in a `global`",
    "_planted_calls = 0",
    "global _planted_calls\n_planted_calls += 1",
)
_in_hook(
    "default_argument",
    "ambient_state",
    "remembers in a mutable default argument",
    "def _planted_seen(value, seen=[]):\n    seen.append(value)",
    "_planted_seen(1)",
)
_in_hook(
    "file_in_temporary_folder",
    "ambient_state",
    "writes a file in `tempfile.gettempdir()`",
    "import os as _planted_os\nimport tempfile as _planted_tempfile",
    "open(_planted_os.path.join(_planted_tempfile.gettempdir(), 'planted'), 'a').close()",
)
_in_hook(
    "file_beside_code",
    "ambient_state",
    "writes a file beside its code",
    "import pathlib as _planted_pathlib",
    "_planted_pathlib.Path(__file__).with_name('planted').write_text('x')",
)
_in_hook(
    "search_path",
    "ambient_state",
    "appends to `sys.path`",
    "import sys as _planted_sys",
    "_planted_sys.path.append('/planted')",
)


@operator("ambient_state", "counts in an attribute of its class")
def class_counter(draft: Draft) -> None:
    me = draft.me
    draft.in_class("_planted_calls = 0")
    draft.in_hook(f"type({me})._planted_calls += 1")


@operator("ambient_state", "lets the order of a set show in the output")
def set_order(draft: Draft) -> str | None:
    draft.in_output("' '.join({'north', 'east', 'south', 'west', 'up', 'down'})")
    return "determinism" if draft.promises_bytes else None


# What is left behind


@operator("lifecycle", "`setup` starts a thread that nobody ends")
def thread_left(draft: Draft) -> None:
    draft.at_top("import threading as _planted_threading")
    draft.in_setup("_planted_threading.Thread(target=_planted_threading.Event().wait, daemon=True).start()")


@operator("lifecycle", "`setup` opens a socket that nobody closes")
def socket_left(draft: Draft) -> None:
    draft.needs_attributes()
    draft.at_top("import socket as _planted_socket")
    draft.in_setup("self._planted_socket = _planted_socket.socket()")


_in_hook(
    "descriptor_left",
    "lifecycle",
    "the hook opens a descriptor that nobody closes",
    "import os as _planted_os",
    "_planted_os.open('/dev/null', _planted_os.O_RDONLY)",
)


@operator("lifecycle", "`setup` leaves a file in the temporary folder")
def file_left(draft: Draft) -> None:
    draft.at_top("import os as _planted_os\nimport tempfile as _planted_tempfile")
    draft.in_setup("open(_planted_os.path.join(_planted_tempfile.gettempdir(), 'planted'), 'w').close()")


@operator("lifecycle", "`setup` starts a process that nobody ends")
def process_left(draft: Draft) -> None:
    draft.at_top("import subprocess as _planted_subprocess")
    draft.needs_attributes()
    draft.in_setup("self._planted_process = _planted_subprocess.Popen(['sleep', '30'])")


@operator("lifecycle", "`setup` adds a handler to its logger each time")
def handlers_pile_up(draft: Draft) -> None:
    draft.at_top("import logging as _planted_logging")
    draft.in_setup("ctx.logger.addHandler(_planted_logging.NullHandler())")


@operator("lifecycle", "`setup` registers with `atexit` each time")
def exit_functions_pile_up(draft: Draft) -> None:
    draft.at_top("import atexit as _planted_atexit")
    draft.in_setup("_planted_atexit.register(lambda: None)")


@operator("lifecycle", "`teardown` raises")
def teardown_raises(draft: Draft) -> None:
    draft.after_teardown("raise RuntimeError('planted')")


@operator("lifecycle", "`setup` raises after a `teardown`")
def no_second_setup(draft: Draft) -> None:
    draft.needs_attributes()
    draft.in_setup(
        "if hasattr(self, '_planted_started'):\n    raise RuntimeError('planted')\nself._planted_started = 1"
    )


@operator("lifecycle", "the hook answers otherwise after a restart, by a counter that `setup` goes on with")
def other_after_restart(draft: Draft) -> None:
    draft.needs_attributes()
    me = draft.me
    draft.in_output(f"str({me}._planted_starts)")
    draft.in_setup("self._planted_starts = getattr(self, '_planted_starts', 0) + 1")


@operator("lifecycle", "the hook raises after the second restart")
def worn_out_by_restarts(draft: Draft) -> None:
    draft.needs_attributes()
    draft.needs(not draft.hook.decorator_list)
    draft.in_hook(f"if {draft.me}._planted_starts > 2:\n    raise ConnectionError('planted')")
    draft.in_setup("self._planted_starts = getattr(self, '_planted_starts', 0) + 1")


# How it runs


@operator("execution_model", "`time.sleep(0.05)`")
def sleep(draft: Draft) -> None:
    draft.needs(draft.model not in CPU_BOUND)
    draft.at_top("import time as _planted_time")
    draft.in_hook("_planted_time.sleep(0.05)")


@operator("execution_model", "waits for an event of `threading`")
def wait(draft: Draft) -> None:
    draft.needs(draft.model not in CPU_BOUND)
    draft.at_top("import threading as _planted_threading")
    draft.in_hook("_planted_threading.Event().wait(0.1)")


@operator("execution_model", "computes for long in its first call")
def hog(draft: Draft) -> None:
    draft.needs(draft.model not in CPU_BOUND)
    draft.needs_attributes()
    me, seconds = draft.me, 0.5 if draft.model == "async" else 1.3
    draft.at_top("import time as _planted_time")
    draft.in_class("_planted_until = None")
    draft.in_hook(
        f"if {me}._planted_until is None:\n"
        f"    {me}._planted_until = _planted_time.thread_time() + {seconds}\n"
        f"    while _planted_time.thread_time() < {me}._planted_until:\n"
        "        pass"
    )


@operator("execution_model", "says `async`, and has a plain function")
def says_async(draft: Draft) -> None:
    draft.needs(draft.model == "sync" and isinstance(draft.hook, ast.FunctionDef) and not draft.hook.decorator_list)
    draft.manifest["execution_model"] = "async"


@operator("execution_model", "says `sync`, and has a coroutine function")
def says_sync(draft: Draft) -> None:
    draft.needs(draft.model == "async" and isinstance(draft.hook, ast.AsyncFunctionDef))
    draft.manifest["execution_model"] = "sync"


@operator("execution_model", "says `thread_cpu_bound`, and keeps what it works on in the instance")
def race(draft: Draft) -> None:
    draft.needs(draft.model not in ("async", "process_cpu_bound") and isinstance(draft.hook, ast.FunctionDef))
    draft.needs_attributes()
    draft.needs(draft.parameters)
    me, name = draft.me, draft.parameters[0]
    draft.manifest["execution_model"] = "thread_cpu_bound"
    draft.in_hook(f"{me}._planted = {name}\nfor _ in range(2000):\n    pass\n{name} = {me}._planted")


# What it reaches past its host

_in_hook(
    "connects",
    "resources",
    "connects to a socket",
    f"{SUPPRESS}\nimport socket as _planted_socket",
    "with _planted_contextlib.suppress(OSError):\n    _planted_socket.create_connection(('127.0.0.1', 9), 0.1).close()",
)
_in_hook(
    "asks_for_an_address",
    "resources",
    "`socket.getaddrinfo(…)`",
    f"{SUPPRESS}\nimport socket as _planted_socket",
    "with _planted_contextlib.suppress(OSError):\n    _planted_socket.getaddrinfo('planted.invalid', 80)",
)
_in_hook(
    "runs_a_program",
    "resources",
    "`subprocess.run(…)`",
    "import subprocess as _planted_subprocess",
    "_planted_subprocess.run(['true'])",
)


@operator("resources", "`setup` reads a resource that the manifest does not name")
def undeclared_resource(draft: Draft) -> None:
    resources = draft.manifest.get("resources", {})
    draft.needs("http_client" not in [*resources.get("required", []), *resources.get("optional", [])])
    draft.at_top(SUPPRESS)
    draft.in_setup("with _planted_contextlib.suppress(Exception):\n    ctx.resources.http_client")


# What goes in and out


@operator("boundaries", "returns a tuple where the kind has no output schema, and a wrong type where it has one")
def wrong_type(draft: Draft) -> None:
    schema = draft.told.output_schema
    if schema is None:
        draft.on_return("return (made,)")
        return
    allowed = types(schema, draft.kind.schemas)
    draft.needs(allowed is not None and not {"object", "array"} <= allowed)
    draft.on_return("return [made]" if "array" not in allowed else "return {'made': made}")


@operator("boundaries", "returns a set")
def returns_set(draft: Draft) -> None:
    draft.needs(draft.told.output_schema is None)
    draft.on_return("return {'planted'}")


@operator("boundaries", "returns NaN, in the output's first field if it has fields")
def returns_nan(draft: Draft) -> None:
    draft.on_return(_FIRST_FIELD, "float('nan')")


@operator("boundaries", "returns bytes, in the output's first field if it has fields")
def returns_bytes(draft: Draft) -> None:
    draft.on_return(_FIRST_FIELD, "b'planted'")


_FIRST_FIELD: Final = "return {**made, next(iter(made)): extra} if isinstance(made, dict) and made else extra"


@operator("boundaries", "`sys.exit()` on an input that is long")
def exits_on_rare_input(draft: Draft) -> None:
    draft.needs(draft.parameters and not draft.hook.decorator_list)
    draft.at_top("import sys as _planted_sys")
    long = " + ".join(f"len(str({name}))" for name in draft.parameters)
    draft.in_hook(f"if {long} > 40:\n    _planted_sys.exit(1)")


@operator("boundaries", "turns a list of its caller's round")
def changes_payload(draft: Draft) -> None:
    lists = [name for name, part in draft.properties().items() if types(part, draft.kind.schemas) == {"array"}]
    draft.needs(lists)
    draft.in_hook(f"{draft.parameter(lists[0])}.reverse()")


# What the manifest says


@operator("manifest", "a field of the manifest is misspelt")
def misspelt_field(draft: Draft) -> None:
    draft.manifest["priorty"] = 50


@operator("manifest", "the manifest lacks a field that it must have")
def missing_field(draft: Draft) -> None:
    draft.needs(draft.manifest.pop("runtime", None))


@operator("manifest", "the manifest is of a kind that there is not")
def misspelt_kind(draft: Draft) -> None:
    draft.manifest["kind"] += "r"


@operator("manifest", "the entry point names a class that there is not")
def misspelt_class(draft: Draft) -> None:
    draft.manifest["entry_point"] = f"plugin:{draft.cls.name}s"


@operator("manifest", "a hook's method is misspelt")
def misspelt_hook(draft: Draft) -> None:
    draft.needs(draft.told.required and not draft.cls.bases)
    draft.hook.name += "s"


@operator("manifest", "the examples for the suite are for a hook that there is not")
def misspelt_example(draft: Draft) -> None:
    draft.manifest.setdefault("contract", {}).setdefault("examples", {})["planted"] = [{}]


@operator("manifest", "the module raises when it is imported")
def import_raises(draft: Draft) -> None:
    draft.at_top("raise RuntimeError('planted')")


# Units of work


@operator("idempotency", "counts its calls in the output")
def counts_in_output(draft: Draft) -> None:
    draft.needs(draft.unit.get("idempotency_mode") == "input_hash")
    draft.needs_attributes()
    me = draft.me
    draft.in_output(f"str({me}._planted_calls)")
    draft.in_class("_planted_calls = 0")
    draft.in_hook(f"{me}._planted_calls += 1")


@operator("idempotency", "keeps the first answer, and gives it for every input")
def stale_cache(draft: Draft) -> None:
    draft.needs(draft.unit.get("idempotency_mode") == "input_hash")
    draft.needs_attributes()
    draft.in_class("_planted_kept = None")
    draft.on_return(
        "if extra._planted_kept is None:\n    extra._planted_kept = made\nreturn extra._planted_kept", draft.me
    )


@operator("determinism", "has an address in the output")
def address_in_output(draft: Draft) -> None:
    draft.needs(draft.promises_bytes)
    draft.in_output("repr(object())")


class _ForgetsCheckpoints(ast.NodeTransformer):
    found = False

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(value=ast.Attribute(attr="checkpoint"), attr="load" | "list" as name):
                self.found = True
                return ast.parse("(None, 0)" if name == "load" else "[]", mode="eval").body
        return node


@operator("resume", "never looks at its checkpoints")
def forgets_checkpoints(draft: Draft) -> None:
    draft.needs(draft.unit.get("checkpointable"))
    transformer = _ForgetsCheckpoints()
    transformer.visit(draft.cls)
    draft.needs(transformer.found)


@operator("resume", "progress falls")
def progress_falls(draft: Draft) -> None:
    draft.needs(draft.unit.get("checkpointable") and "ctx" in [one.arg for one in draft.hook.args.args])
    draft.in_hook("ctx.progress.update(80)\nctx.progress.update(40)")


@operator("unit_of_work", "`partition_key` is misspelt")
def misspelt_partition_key(draft: Draft) -> None:
    draft.needs(draft.unit.get("partition_key"))
    draft.unit["partition_key"] += "s"


@operator("unit_of_work", "a name in `content_hash` is misspelt")
def misspelt_content_hash(draft: Draft) -> None:
    draft.needs(draft.unit.get("content_hash"))
    draft.unit["content_hash"][0] += "s"


@operator("unit_of_work", "says things of a unit of work that it does not declare")
def undeclared_unit(draft: Draft) -> None:
    draft.needs(draft.unit.pop("declared", False) and draft.unit)


@operator("unit_of_work", "saves checkpoints, and says nowhere that it resumes from them")
def unsaid_checkpoints(draft: Draft) -> None:
    draft.needs(not draft.unit.get("checkpointable"))
    draft.needs("ctx" in [one.arg for one in draft.hook.args.args])
    draft.in_hook("ctx.checkpoint.save('planted', 1)")


# Fallbacks and chains


@operator("fallback", "raises on an empty text")
def raises_on_empty_text(draft: Draft) -> None:
    draft.needs(draft.manifest.get("fallback") and draft.told.dispatch is Dispatch.CAPABILITY)
    draft.needs(not draft.hook.decorator_list)
    draft.in_hook(f"if not {draft.parameter('text')}:\n    raise ValueError('planted')")


@operator("fallback", "goes one call deeper for each bracket")
def deep_recursion(draft: Draft) -> None:
    draft.needs(draft.manifest.get("fallback") and draft.told.dispatch is Dispatch.CAPABILITY)
    draft.needs(not draft.hook.decorator_list)
    draft.at_top("def _planted_depth(text):\n    return 1 + _planted_depth(text[1:]) if text[:1] == '[' else 0")
    draft.in_hook(f"_planted_depth({draft.parameter('text')})")


@operator("chain", "passes on a text that is longer than the next one takes")
def too_long(draft: Draft) -> None:
    text = draft.properties().get("text")
    draft.needs(draft.told.dispatch is Dispatch.CHAIN and text is not None and "maxLength" in text.body)
    draft.needs(draft.told.output_schema is not None and "maxLength" not in str(draft.told.output_schema.body))
    longer = text.body["maxLength"] + 1
    draft.on_return(f"return {{**made, 'text': made['text'].ljust({longer}, '.')}} if isinstance(made, dict) else made")


@operator("chain", "passes on a field that the next one does not take")
def unknown_field(draft: Draft) -> None:
    draft.needs(draft.told.dispatch is Dispatch.CHAIN and draft.told.input_schema and draft.told.output_schema)
    draft.needs(draft.told.input_schema.body.get("additionalProperties") is False)
    draft.needs(draft.told.output_schema.body.get("additionalProperties") is not False)
    draft.on_return("return {**made, 'planted': True} if isinstance(made, dict) else made")
