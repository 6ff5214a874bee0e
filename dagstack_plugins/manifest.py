"""Plugin manifests: read, check and describe one plugin.

A manifest is data: it is read without touching the plugin's code. Its shape is the JSON Schema in
``manifest.schema.json``; a good manifest costs one validator call and the few rules that reach across fields. The rest
runs only for a faulty one, to tell its author everything that is wrong, where it stands, and what to write instead.
"""

from __future__ import annotations

import codecs
import difflib
import errno
import json
import math
import re
from collections.abc import Mapping
from datetime import date, time
from functools import cache, lru_cache
from itertools import islice
from keyword import iskeyword
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import attrs
import tomli
from jsonschema_rs import Draft202012Validator
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from dagstack_plugins.errors import Fault, ManifestInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from jsonschema_rs import ValidationError

__all__ = [
    "MANIFEST_FILES",
    "ChainWrap",
    "Dependency",
    "McpHttp",
    "McpStdio",
    "PluginManifest",
    "ResourceNeeds",
    "UnitOfWork",
    "find_manifest",
    "load_manifest",
    "manifest_schema",
]

MANIFEST_FILES = ("dagstack.toml", "dagstack.json", "pyproject.toml")
"""The files that can hold a manifest, in the order in which a folder is searched for them."""

_PYPROJECT = "pyproject.toml"
_ENTRY_POINT = ("plugin", "entry_point")
_MIDDLEWARE = "horizontal_middleware"
_TABLES = ("plugin", "resources", "unit_of_work", "mcp_stdio", "mcp_http", "chain_wrap")
_LISTS = (list, tuple)
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_HALF_PAIR = re.compile("[\ud800-\udfff]")  # of surrogates: such a string is no text

# A search for the line of a fault ends here: nobody waits longer for a message.
_PLACES_TRIED = 30
_LONGEST_TEXT = 50_000  # characters


# --- The model --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Dependency:
    """A plugin that another one needs.

    Attributes:
        kind: its kind; ``None`` where the manifest gives a bare name.
        name: its name.
    """

    kind: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.kind else self.name


@attrs.frozen(kw_only=True)
class ResourceNeeds:
    """What a plugin borrows from its host, by names in the host's resource registry.

    Attributes:
        required: the plugin is unavailable where one of these is missing.
        optional: these read as ``None`` where the host has none.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def declared(self) -> frozenset[str]:
        """All names that the plugin may read."""
        return frozenset(self.required + self.optional)


@attrs.frozen(kw_only=True)
class UnitOfWork:
    """What one run of a long operation is, and what it promises.

    Attributes:
        declared: the plugin's runs are units of work.
        partition_key: the payload field that says which partition a run belongs to.
        estimated_duration_sec: seconds that a run usually takes.
        idempotency_mode: ``none``, ``input_hash`` or ``output_hash``.
        checkpointable: a killed run resumes from its checkpoints.
        content_hash: the payload fields whose content identifies a run.
    """

    declared: bool = False
    partition_key: str | None = None
    estimated_duration_sec: float | None = None
    idempotency_mode: str = "none"
    checkpointable: bool = False
    content_hash: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class McpStdio:
    """How a plugin's server is started for the runtime ``mcp_stdio``.

    Attributes:
        command: the program and its arguments.
        working_dir: the folder that the server runs in; ``None`` for the plugin's own.
        env: environment variables that the server gets, with their values.
        inherit_env: names of the host's environment variables that it gets too.
        startup_timeout_sec: seconds until it must answer; ``None`` for the plugin's own limit.
        max_restarts: how often a server that ended is started again.
        backoff_sec: seconds before the first restart.
    """

    command: tuple[str, ...]
    working_dir: str | None = None
    env: dict[str, str] = attrs.field(factory=dict, hash=False)
    inherit_env: tuple[str, ...] = ()
    startup_timeout_sec: float | None = None
    max_restarts: int = 5
    backoff_sec: float = 0.5


@attrs.frozen(kw_only=True)
class McpHttp:
    """Where a plugin's server is found for the runtime ``mcp_http``.

    Attributes:
        url: address of the MCP endpoint.
        auth_header: name of the HTTP header that carries the secret.
        auth_secret_env: name of the host's environment variable that holds the secret.
        timeout_sec: seconds that one request may take.
        tls_ca_bundle: file with the certificates to trust; ``None`` for those of the system.
        tls_verify: whether the server's certificate is checked.
        max_retries: how often a request that got no answer is sent again.
        backoff_sec: seconds before the first retry.
    """

    url: str
    auth_header: str | None = None
    auth_secret_env: str | None = None
    timeout_sec: float = 60
    tls_ca_bundle: str | None = None
    tls_verify: bool = True
    max_retries: int = 3
    backoff_sec: float = 0.5


@attrs.frozen(kw_only=True)
class ChainWrap:
    """Which calls a middleware wraps; ``*`` stands for all.

    Attributes:
        kinds: the kinds whose calls are wrapped.
        hooks: the hooks whose calls are wrapped.
    """

    kinds: tuple[str, ...] = ("*",)
    hooks: tuple[str, ...] = ("*",)


@attrs.frozen(kw_only=True)
class PluginManifest:
    """One plugin: who it is, how it runs, what it needs.

    Made by `load_manifest` or `PluginManifest.from_dict`, which check; the constructor itself doesn't. The fields are
    those of the manifest, lists as tuples; `manifest_schema` describes each.

    Attributes:
        runtime: the runtimes that the plugin is able to use, of ``in_process``, ``mcp_stdio`` and ``mcp_http``.
        entry_point: ``module:Class``; ``None`` for the one fitting class of ``plugin.py``.
        config_schema: the JSON Schema of the plugin's configuration, already read where the manifest names a file.
        contract: what the contract suite is told; ``examples`` holds a list of payloads for each hook.
        file: the manifest's file, absolute; ``None`` for one given as a dict.
        folder: the plugin's folder, absolute; ``None`` where there is none.

    >>> manifest = PluginManifest.from_dict(
    ...     {"name": "echo", "kind": "tool", "core_version": ">=0.1", "runtime": "in_process"}
    ... )
    >>> manifest.key, manifest.runtime, manifest.priority
    (('tool', 'echo'), ('in_process',), 0)
    """

    name: str
    kind: str
    core_version: str
    runtime: tuple[str, ...]
    schema_version: str = "1"
    kind_api_version: str = "1"
    entry_point: str | None = None
    version: str | None = None
    description: str | None = None
    license: str | None = None
    homepage: str | None = None
    maintainer: str | None = None
    authors: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    priority: int = 0
    depends_on: tuple[Dependency, ...] = ()
    tryfirst: bool = False
    trylast: bool = False
    startup_timeout_sec: float = 30
    teardown_timeout_sec: float = 15
    call_timeout_sec: float | None = None
    max_concurrency: int | None = None
    execution_model: str = "sync"
    in_process_only: bool = False
    supports_languages: tuple[str, ...] = ()
    supports_extensions: tuple[str, ...] = ()
    supports_mime_types: tuple[str, ...] = ()
    supports: dict[str, Any] = attrs.field(factory=dict, hash=False)
    capabilities: tuple[str, ...] = ()
    fallback: bool = False
    config_schema: dict[str, Any] | None = attrs.field(default=None, hash=False)
    resources: ResourceNeeds = ResourceNeeds()
    unit_of_work: UnitOfWork = UnitOfWork()
    mcp_stdio: McpStdio | None = None
    mcp_http: McpHttp | None = None
    chain_wrap: ChainWrap = ChainWrap()
    contract: dict[str, Any] = attrs.field(factory=dict, hash=False)
    metadata: dict[str, Any] = attrs.field(factory=dict, hash=False)
    file: Path | None = None
    folder: Path | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name, which together name one plugin of a registry."""
        return self.kind, self.name

    @property
    def band(self) -> int:
        """0 for ``tryfirst``, 2 for ``trylast``, 1 for all others."""
        return 0 if self.tryfirst else 2 if self.trylast else 1

    @property
    def sort_key(self) -> tuple[int, int, str]:
        """Sorts the plugins of a kind into the order in which they answer."""
        return self.band, -self.priority, self.name

    @property
    def core_specifiers(self) -> SpecifierSet:
        """``core_version``, parsed."""
        return _specifiers(self.core_version)

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], *, file: Path | None = None, folder: Path | None = None
    ) -> PluginManifest:
        """Check a manifest that is given as a mapping.

        Args:
            data: the fields, flat or under the one key ``plugin``; it is copied, never changed.
            file: the file that it comes from, if any.
            folder: the plugin's folder; left out, the folder of ``file``.

        Returns:
            The manifest, with its defaults filled in.

        Raises:
            ManifestInvalid: with every fault.
        """
        document = dict(data) if isinstance(data, Mapping) and "plugin" in data else {"plugin": data}
        file = file and file.absolute()
        folder = folder.absolute() if folder else file and file.parent
        return _checked(document, _Source(file), folder)

    def to_dict(self) -> dict[str, Any]:
        """The manifest as plain dicts and lists, without what equals its default.

        Returns:
            A flat dict that `from_dict` makes an equal manifest from, given the same ``file`` and ``folder``.
        """
        fields = _changed_fields(self, leave_out=("file", "folder"))
        if len(self.runtime) == 1:
            fields["runtime"] = self.runtime[0]
        if self.depends_on:
            fields["depends_on"] = [attrs.asdict(need) if need.kind else need.name for need in self.depends_on]
        return fields


def _changed_fields(model: attrs.AttrsInstance, leave_out: Container[str] = ()) -> dict[str, Any]:
    fields = {}
    for field in attrs.fields(type(model)):
        value = getattr(model, field.name)
        default = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]
        if field.name not in leave_out and value != default:
            fields[field.name] = _changed_fields(value) if attrs.has(type(value)) else _plain_copy(value)
    return fields


# --- Reading ----------------------------------------------------------------------------------------------------------


def find_manifest(folder: Path, names: Container[str] | None = None) -> Path | None:
    """Find the manifest in a folder.

    A ``pyproject.toml`` counts only if it has a table ``[tool.dagstack.plugin]``, or if it is broken and speaks of
    ``tool.dagstack``.

    Args:
        folder: the folder to look in, not below it.
        names: the folder's listing, where the caller has it already.

    Returns:
        The first of `MANIFEST_FILES` that is there; ``None`` if the folder is no plugin.
    """
    for name in MANIFEST_FILES:
        if names is not None and name not in names:
            continue
        file = folder / name
        if file.is_file() and (name != _PYPROJECT or _speaks_of_plugin(file)):
            return file
    return None


def load_manifest(path: str | Path) -> PluginManifest:
    """Read and check the manifest of one plugin.

    Args:
        path: the manifest's file, or the plugin's folder; relative paths count from the working directory.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: there is no such file, or the folder holds no manifest.
        ManifestInvalid: the manifest can't be read or is faulty; with every fault.
    """
    file = Path(path).expanduser().absolute()
    if file.is_dir():
        found = find_manifest(file)
        if found is None:
            looked_for = ", ".join(MANIFEST_FILES)
            raise FileNotFoundError(errno.ENOENT, f"no manifest in this folder (looked for {looked_for})", str(file))
        file = found
    try:
        text = _decoded(file.read_bytes())
    except _UnreadableError as error:
        raise _unreadable(_Source(file), error) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = _UnreadableError(f"cannot be read: {error.strerror or error}")
        raise _unreadable(_Source(file), reason) from error
    return _from_text(text, file)


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a manifest file, for editors and documentation.

    Returns:
        The schema, a fresh copy at each call; ``properties.plugin`` describes the fields.
    """
    schema: dict[str, Any] = json.loads(Path(__file__).with_name("manifest.schema.json").read_text("utf-8"))
    return schema


def _from_text(text: str, file: Path) -> PluginManifest:
    above = ("tool", "dagstack") if file.name == _PYPROJECT else ()
    source = _Source(file, text, _parse_json if file.suffix == ".json" else _parse_toml, above)
    try:
        document = source.parse(text)
    except _UnreadableError as error:
        raise _unreadable(source, error) from None
    if above:
        table = _reach(document, (*above, "plugin"))
        document = {} if table is None else {"plugin": table}
    if not isinstance(document, dict):
        raise _unreadable(source, _UnreadableError(f"expected an object, found {_shown(document)}"))
    if "plugin" not in document:
        raise _unreadable(source, _UnreadableError(_how_to_begin(document, source)))
    return _checked(document, source, file.parent)


def _how_to_begin(document: dict[str, Any], source: _Source) -> str:
    found = "no plugin is described here" if document or source.text.strip(" \t\r\n{}") else "the file is empty"
    near = difflib.get_close_matches("plugin", document, 1)
    meant = f" (found {near[0]!r}, did you mean 'plugin'?)" if near else ""
    where = 'an object "plugin"' if source.parse is _parse_json else f"a table [{'.'.join((*source.above, 'plugin'))}]"
    return f"{found}{meant}; write {where} with the fields name, kind, core_version and runtime"


def _speaks_of_plugin(pyproject: Path) -> bool:
    try:
        raw = pyproject.read_bytes()
        # Most are not ours: no need to parse those.
        return b"dagstack" in raw and _reach(_parse_toml(_decoded(raw)), ("tool", "dagstack", "plugin")) is not None
    except _UnreadableError:
        return b"tool.dagstack" in raw
    except OSError:
        return False


class _UnreadableError(ValueError):
    """Text that is no TOML, no JSON or no text at all."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def _decoded(raw: bytes) -> str:
    body = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        offset = len(raw) - len(body) + error.start
        found = f"byte 0x{raw[offset]:02x} at offset {offset} is not UTF-8"
        raise _UnreadableError(f"{found}; save the file as UTF-8", raw.count(b"\n", 0, offset) + 1) from None


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except RecursionError:
        raise _UnreadableError("is nested too deeply") from None
    except ValueError as error:
        line = re.search(r"\(at line (\d+), column \d+\)", str(error))
        number = int(line[1]) if line else getattr(error, "lineno", None)
        raise _UnreadableError(f"is not valid TOML: {error}", number) from None


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        raise _UnreadableError("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _UnreadableError(f"is not valid JSON: {error.msg} (column {error.colno})", error.lineno) from None
    except _UnreadableError:
        raise
    except ValueError as error:
        raise _UnreadableError(f"is not valid JSON: {error}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise _UnreadableError(f"is not valid JSON: the key {key!r} stands twice in one object")
        table[key] = value
    return table


def _no_constant(name: str) -> NoReturn:
    raise _UnreadableError(f"is not valid JSON: {name} is no JSON value")


# --- Checking ---------------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """One fault, before its line is looked for; the path begins at ``plugin``, whatever stands above that."""

    path: tuple[str | int, ...]
    message: str


@attrs.frozen
class _Source:
    """Where a document comes from: its text, how to parse that, and the keys above ``plugin`` in it."""

    file: Path | None
    text: str = ""
    parse: Callable[[str], Any] = _parse_toml
    above: tuple[str, ...] = ()


def _checked(document: dict[str, Any], source: _Source, folder: Path | None) -> PluginManifest:
    try:
        found = [] if _fits(document) else list(_shape_faults(document))
        table = (_without(document, {one.path for one in found}) if found else document)["plugin"]
        for rule in _RULES:
            found += rule(table)
        config_schema, unread = _config_schema(table.get("config_schema"), folder)
        found += unread
        attributes = {} if found else _attributes(table) | {"config_schema": config_schema}
    except RecursionError:
        raise _invalid(document, source, [Fault("", "is nested too deeply, or contains itself")]) from None
    if found:
        found.sort(key=lambda one: _position(document, one.path))
        raise _invalid(document, source, [_fault(one, source) for one in found])
    return PluginManifest(**attributes, file=source.file, folder=folder)


def _unreadable(source: _Source, error: _UnreadableError) -> ManifestInvalid:
    return _invalid({}, source, [Fault("", str(error), error.line)])


def _invalid(document: dict[str, Any], source: _Source, faults: Sequence[Fault]) -> ManifestInvalid:
    texts = (_reach(document, ("plugin", key)) for key in ("kind", "name"))
    kind, name = (text if isinstance(text, str) else None for text in texts)
    whose = f" of {Dependency(kind, name)}" if name else ""
    where = f" {source.file}" if source.file else ""
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    file = str(source.file) if source.file else None
    return ManifestInvalid(f"manifest{where}{whose} has {count}:", file=file, faults=faults, kind=kind, plugin=name)


def _fault(found: _Found, source: _Source) -> Fault:
    path = (*source.above, *found.path)
    return Fault(_dotted(path), found.message, _line(source, path))


@cache
def _schema() -> dict[str, Any]:
    return manifest_schema()


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(_schema(), validate_formats=True)


def _fits(document: dict[str, Any]) -> bool:
    try:
        return _validator().is_valid(document)
    except ValueError:  # something that isn't JSON, where the schema asks for a type
        return False


def _attributes(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _CONVERT[key](value) if key in _CONVERT else _tupled(value) for key, value in table.items()}


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, _LISTS) else value


def _one_or_more(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _dependency(value: Any) -> Dependency:
    return Dependency(None, value) if isinstance(value, str) else Dependency(value.get("kind"), value.get("name", ""))


def _contract(table: Mapping[str, Any]) -> dict[str, Any]:
    contract: dict[str, Any] = _plain_copy(table)
    for hook, payloads in contract.get("examples", {}).items():
        contract["examples"][hook] = payloads if isinstance(payloads, list) else [payloads]
    return contract


def _plain_copy(value: Any) -> Any:
    """Dicts and lists all the way down, so that nobody else's changes reach the manifest."""
    if isinstance(value, Mapping):
        return {key: _plain_copy(item) for key, item in value.items()}
    if isinstance(value, _LISTS):
        return [_plain_copy(item) for item in value]
    return value


# How a field's value becomes the attribute of the same name, in whatever table; lists become tuples in any case.
_CONVERT: dict[str, Callable[[Any], Any]] = {
    "runtime": _one_or_more,
    "kinds": _one_or_more,
    "hooks": _one_or_more,
    "depends_on": lambda items: tuple(map(_dependency, items)),
    "resources": lambda table: ResourceNeeds(**_attributes(table)),
    "unit_of_work": lambda table: UnitOfWork(**_attributes(table)),
    "mcp_stdio": lambda table: McpStdio(**_attributes(table)),
    "mcp_http": lambda table: McpHttp(**_attributes(table)),
    "chain_wrap": lambda table: ChainWrap(**_attributes(table)),
    "env": dict,
    "contract": _contract,
    "supports": _plain_copy,
    "metadata": _plain_copy,
    # To JSON Schema 5.0 is an integer.
    "priority": int,
    "max_concurrency": int,
    "max_restarts": int,
    "max_retries": int,
}


# --- Rules that reach across fields -----------------------------------------------------------------------------------
# Each gets the table without what breaks the schema, so what is there has its type; a required field may be missing.


def _order_rules(table: Mapping[str, Any]) -> Iterator[_Found]:
    priority = table.get("priority", 0)
    kind = table.get("kind", _MIDDLEWARE)
    if priority > 100 and (priority < 1000 or kind != _MIDDLEWARE):
        most = "0 to 100, or 1000 and up" if kind == _MIDDLEWARE else "0 to 100"
        reserved = f"; 1000 and up is for the kind {_MIDDLEWARE}" if priority >= 1000 else ""
        yield _Found(("plugin", "priority"), f"expected {most}, found {_shown(priority)}{reserved}")
    if table.get("tryfirst") and table.get("trylast"):
        yield _Found(("plugin", "trylast"), "tryfirst and trylast can't both be true; keep one")
    if "chain_wrap" in table and kind != _MIDDLEWARE:
        yield _Found(("plugin", "chain_wrap"), f"only for the kind {_MIDDLEWARE}; this is a {kind}: remove the table")


def _runtime_rules(table: Mapping[str, Any]) -> Iterator[_Found]:
    if "runtime" not in table:
        return
    runtimes = [runtime for runtime in _one_or_more(table["runtime"]) if runtime]
    for runtime in runtimes:
        if runtime == "in_process":
            continue
        if table.get("in_process_only"):
            yield _Found(("plugin", "runtime"), f"in_process_only = true refuses {runtime!r}; keep one of the two")
        if runtime not in table:
            yield _Found(("plugin", "runtime"), f"{runtime!r} needs a table [plugin.{runtime}], which is missing")
    if "entry_point" in table and runtimes and "in_process" not in runtimes:
        message = "only for the runtime 'in_process', which `runtime` doesn't list: add it there, or remove entry_point"
        yield _Found(_ENTRY_POINT, message)


def _entry_point_rules(table: Mapping[str, Any]) -> Iterator[_Found]:
    fault = _entry_point_fault(table["entry_point"]) if "entry_point" in table else None
    if fault:
        yield _Found(_ENTRY_POINT, fault)


def _version_rules(table: Mapping[str, Any]) -> Iterator[_Found]:
    text = table.get("core_version")
    try:
        if text is None or len(_specifiers(text)):
            return
    except InvalidSpecifier:
        pass
    yield _Found(
        ("plugin", "core_version"),
        f"{text!r} is no list of PEP 440 version specifiers; write for example '>=0.1.0,<1.0.0'",
    )


def _dependency_rules(table: Mapping[str, Any]) -> Iterator[_Found]:
    for index, item in enumerate(table.get("depends_on", ())):
        needed = _dependency(item)
        # A bare name fits any kind, so the plugin's own name always fits itself.
        if needed.name == table.get("name") and needed.kind in (None, table.get("kind")):
            yield _Found(
                ("plugin", "depends_on", index), f"the plugin depends on itself ({needed}); {_other_kind(needed)}"
            )


def _other_kind(needed: Dependency) -> str:
    if needed.kind:
        return "remove it"
    return f'remove it, or if a plugin of another kind is meant, write {{ kind = "...", name = "{needed.name}" }}'


def _unit_rules(table: Mapping[str, Any]) -> Iterator[_Found]:
    if table.get("unit_of_work", {}).get("idempotency_mode") == "output_hash":
        required = table.get("resources", {}).get("required", ())
        missing = [name for name in ("clock", "rng") if name not in required]
        if missing:
            told = f"'output_hash' needs clock and rng in resources.required; missing there: {', '.join(missing)}"
            yield _Found(("plugin", "unit_of_work", "idempotency_mode"), told)


def _json_rules(table: Mapping[str, Any]) -> Iterator[_Found]:
    for key in ("supports", "config_schema", "contract"):
        if key in table:
            yield from _not_json(table[key], ("plugin", key))


_RULES = (
    _order_rules,
    _runtime_rules,
    _entry_point_rules,
    _version_rules,
    _dependency_rules,
    _unit_rules,
    _json_rules,
)


@lru_cache(maxsize=256)
def _specifiers(text: str) -> SpecifierSet:
    return SpecifierSet(text)


def _entry_point_fault(text: str) -> str | None:
    module, colon, name = text.partition(":")
    if "/" in text or "\\" in text:
        return f"{text!r} is a path; name the module with dots, from the plugin's folder down: 'sub.module:Class'"
    if not colon:
        return f"{text!r} has no ':'; expected module:Class, such as 'plugin:EchoTool'"
    if module.startswith(".") or ".." in module:
        return f"{text!r} has dots that lead nowhere; name the module from the plugin's folder down: 'sub.module:Class'"
    if "." in name or ":" in name:
        return f"{name!r} is no class at the top of a module; write one name behind the ':'"
    for part in (*module.split("."), name):
        if iskeyword(part):
            return f"{part!r} in {text!r} is a keyword of Python; rename the module or class"
        if not part.isidentifier():
            return f"{part!r} in {text!r} is no Python name; expected module:Class, such as 'plugin:EchoTool'"
    return None


def _not_json(value: Any, path: tuple[str | int, ...]) -> Iterator[_Found]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                yield _Found(path, f"the key {_shown(key)} is not a string")
            else:
                yield from _not_json(item, (*path, key))
    elif isinstance(value, _LISTS):
        for index, item in enumerate(value):
            yield from _not_json(item, (*path, index))
    elif not _is_json_scalar(value):
        yield _Found(path, f"expected a JSON value, found {_shown(value)}")


def _is_json_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return not _HALF_PAIR.search(value)
    return value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _config_schema(value: Any, folder: Path | None) -> tuple[dict[str, Any] | None, list[_Found]]:
    """The plugin's configuration schema, read from its file if the manifest names one."""
    if not isinstance(value, str):
        return _plain_copy(value), []
    try:
        return _read_schema(value, folder), []
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links
        told = (error.strerror if isinstance(error, OSError) else None) or error
        return None, [_Found(("plugin", "config_schema"), f"{value!r}: {told}")]


def _read_schema(name: str, folder: Path | None) -> dict[str, Any]:
    if folder is None:
        raise ValueError("a file name, but the plugin has no folder that it could be in; write the schema as a table")
    file = (folder / name).resolve()
    # As Windows reads it, on every platform: a manifest means the same everywhere.
    if PureWindowsPath(name).anchor or ".." in PureWindowsPath(name).parts or not file.is_relative_to(folder.resolve()):
        raise ValueError("expected a file inside the plugin's folder, as a relative path without '..'")
    if not file.is_file():
        raise ValueError("there is no such file in the plugin's folder")
    try:
        schema = _parse_json(_decoded(file.read_bytes()))
    except _UnreadableError as error:
        raise ValueError(f"line {error.line}: {error}" if error.line else str(error)) from None
    if not isinstance(schema, dict):
        raise ValueError(f"expected a JSON object, found {_shown(schema)}")
    return schema


# --- What is wrong with the shape -------------------------------------------------------------------------------------


def _shape_faults(document: dict[str, Any]) -> Iterator[_Found]:
    for error in _validator().iter_errors(_for_validator(document)):
        yield from _told(error, document)


def _for_validator(value: Any) -> Any:
    """What isn't JSON becomes null, which no field takes: so it is told of like any other wrong type."""
    if isinstance(value, Mapping):
        return {str(key): _for_validator(item) for key, item in value.items()}
    if isinstance(value, _LISTS):
        return [_for_validator(item) for item in value]
    return value if _is_json_scalar(value) else None


def _told(error: ValidationError, document: dict[str, Any]) -> Iterator[_Found]:
    path = tuple(error.instance_path)
    told: Any = error.kind
    node, keyword = _schema_at(error.schema_path[:-1]), error.schema_path[-1]
    value = _reach(document, path)
    if keyword == "anyOf":
        yield from _any_of_told(error, node, document)
    elif keyword == "required":
        missing = told.property
        yield _Found((*path, missing), f"is missing{_example(missing, node['properties'][missing])}")
    elif keyword == "additionalProperties":
        for key in told.unexpected:
            yield _Found((*path, key), f"unknown field{_meant(key, node['properties'])}")
    elif keyword == "uniqueItems":
        for index, item in enumerate(value):
            if item in value[:index]:
                yield _Found((*path, index), f"{item!r} stands twice in the list")
    elif keyword == "pattern" and path == _ENTRY_POINT:
        yield _Found(path, _entry_point_fault(value) or _pattern_sentence(node, value))
    elif keyword != "type" or "enum" not in node:  # a list of the values that would do says more than their type
        yield _Found(path, _SENTENCES[str(keyword)](node, value) + _dependency_hint(path, value))


def _any_of_told(error: ValidationError, node: dict[str, Any], document: dict[str, Any]) -> Iterator[_Found]:
    """The faults of the branch whose type fits; if there is none, all the types that would do."""
    path = tuple(error.instance_path)
    told: Any = error.kind
    for branch in told.context:
        if not any(fault.schema_path[-1] == "type" and len(fault.instance_path) == len(path) for fault in branch):
            for fault in branch:
                yield from _told(fault, document)
            return
    types = [_resolved(branch)["type"] for branch in node["anyOf"]]
    yield _Found(path, _type_sentence(types, _reach(document, path)))


def _schema_at(path: Sequence[str | int]) -> dict[str, Any]:
    node: Any = _schema()
    for step in path:
        node = _resolved(node) if step == "$ref" else node[step]
    found: dict[str, Any] = node
    return found


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _schema()["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    return found


def _example(key: str, node: dict[str, Any]) -> str:
    return f"; write for example {key} = {json.dumps(node['examples'][0])}" if "examples" in node else ""


def _meant(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, 1, cutoff=0.7)
    if near:
        return f"; did you mean {near[0]!r}?"
    fields = _schema()["properties"]["plugin"]["properties"]
    if key in fields:
        return f"; did you mean plugin.{key}?"
    homes = [f"plugin.{name}.{key}" for name, node in fields.items() if key in node.get("properties", ())]
    if homes:
        return f"; did you mean {' or '.join(homes)}?"
    return f"; known here: {', '.join(known)}" if len(known) <= 12 else ""


def _dependency_hint(path: tuple[str | int, ...], value: Any) -> str:
    if path[1:2] != ("depends_on",) or not isinstance(value, str) or value.count("/") != 1:
        return ""
    kind, name = value.split("/")
    return f'; for a plugin of one kind write {{ kind = "{kind}", name = "{name}" }}'


def _type_sentence(types: Sequence[str], value: Any) -> str:
    return f"expected {_either(_TYPES[name] for name in types)}, found {_shown(value)}"


def _enum_sentence(node: dict[str, Any], value: Any) -> str:
    near = difflib.get_close_matches(str(value), node["enum"], 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"expected {_either(map(repr, node['enum']))}, found {_shown(value)}{hint}"


def _pattern_sentence(node: dict[str, Any], value: Any) -> str:
    return f"{node['patternErrorMessage']}, found {_shown(value)}"


_SENTENCES: dict[str, Callable[[dict[str, Any], Any], str]] = {
    "type": lambda node, value: _type_sentence([node["type"]], value),
    "enum": _enum_sentence,
    "pattern": _pattern_sentence,
    "minLength": lambda _node, _value: "is empty; expected some text",
    "minItems": lambda _node, _value: "is an empty list; write at least one entry",
    "minimum": lambda node, value: f"expected {node['minimum']} or more, found {_shown(value)}",
    "exclusiveMinimum": lambda node, value: f"expected more than {node['exclusiveMinimum']}, found {_shown(value)}",
}

_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}


def _either(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _shown(value: Any) -> str:
    """A value as its author knows it, cut to a length that fits a line."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a table" if value else "an empty table"
    if isinstance(value, _LISTS):
        return "a list" if value else "an empty list"
    if isinstance(value, bool):
        return f"{str(value).lower()} (bool)"
    text = str(value) if isinstance(value, date | time) else repr(value)
    word = type(value).__name__
    if isinstance(value, str):
        word = "half a surrogate pair, which is no text" if _HALF_PAIR.search(value) else "string"
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({word})"


# --- Where it is ------------------------------------------------------------------------------------------------------


def _reach(document: Any, path: Iterable[str | int]) -> Any:
    """The value at a path; ``None`` if there is none."""
    for step in path:
        try:
            document = document[step]
        except (LookupError, TypeError):
            return None
    return document


def _without(value: Any, wrong: set[tuple[str | int, ...]], path: tuple[str | int, ...] = ()) -> Any:
    """What is left without the wrong values, for the rules that come after.

    A wrong table or list item leaves an empty table: so it doesn't count as missing, and other items keep their places.
    """
    if path in wrong:
        return {}
    if isinstance(value, Mapping):
        kept = ((key, item) for key, item in value.items() if (*path, key) not in wrong or key in _TABLES)
        return {key: _without(item, wrong, (*path, key)) for key, item in kept}
    if isinstance(value, _LISTS):
        return [_without(item, wrong, (*path, index)) for index, item in enumerate(value)]
    return value


def _position(document: Any, path: Iterable[str | int]) -> list[int]:
    """Sorts faults into the document's order; what is missing comes at the end of its table."""
    order: list[int] = []
    for step in path:
        places: list[str | int] = list(range(len(document)) if isinstance(step, int) else document or ())
        order.append(places.index(step) if step in places else len(places))
        document = _reach(document, [step])
    return order


def _dotted(path: Iterable[str | int]) -> str:
    dotted = ""
    for step in path:
        if isinstance(step, int):
            dotted += f"[{step}]"
        else:
            dotted += f".{step}" if _BARE_KEY.fullmatch(step) else f".{json.dumps(step)}"
    return dotted.removeprefix(".")


def _line(source: _Source, path: tuple[str | int, ...]) -> int | None:
    """The line where the key or list item at ``path`` stands; ``None`` where that can't be told for certain.

    Every place where the word stands is tried: if another word there makes the parser find the same document but for
    that one key or item, then this is the place. So there is no grammar here that could be guessed wrong.
    """
    if not 0 < len(source.text) <= _LONGEST_TEXT:
        return None
    document = source.parse(source.text)
    pattern = _as_written(document, path)
    if pattern is None:
        return None
    mark = "here"
    while mark in source.text:
        mark += "_"
    wanted = _marked(document, path, mark)
    for place in islice(re.finditer(pattern, source.text), _PLACES_TRIED):
        try:
            if source.parse(f'{source.text[: place.start()]}"{mark}"{source.text[place.end() :]}') == wanted:
                return source.text.count("\n", 0, place.start()) + 1
        except _UnreadableError:
            continue
    return None


def _as_written(document: Any, path: tuple[str | int, ...]) -> str | None:
    """A regular expression for the key, or the list item, as it is usually written; ``None`` for what isn't there."""
    above, last = _reach(document, path[:-1]), path[-1]
    if isinstance(above, dict):
        return rf"""(?<![\w-])(["']?){re.escape(str(last))}\1(?![\w-])""" if last in above else None
    item = _reach(above, [last])
    if isinstance(item, str):
        return rf"""(["']){re.escape(item)}\1"""
    return (
        None if isinstance(item, dict | list) else rf"(?<![\w.-]){re.escape(json.dumps(item, default=str))}(?![\w.-])"
    )


def _marked(document: Any, path: tuple[str | int, ...], mark: str) -> Any:
    """The document with the key or item at ``path`` replaced."""
    step, rest = path[0], path[1:]
    if isinstance(document, list):
        changed = _marked(document[step], rest, mark) if rest else mark  # type: ignore[index]
        return [changed if index == step else item for index, item in enumerate(document)]
    if rest:
        return document | {step: _marked(document[step], rest, mark)}
    return {mark if key == step else key: item for key, item in document.items()}
