"""Plugin manifests: read, check and describe one plugin.

A manifest is data: it is read without touching the plugin's code. Its shape is the JSON Schema in
``manifest.schema.json``; a good manifest costs one validator call and the few rules that reach across fields. The rest
runs only for a faulty one, to tell its author everything that is wrong, where it stands, and what to write instead.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from packaging.specifiers import SpecifierSet

from dagstack_plugins.errors import Fault
from dagstack_plugins.manifest_faults import as_found, examined, how_to_begin, invalid, schema, unreadable
from dagstack_plugins.manifest_text import Source, Unreadable, decoded, parsed, read_inside
from dagstack_plugins.schemafaults import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Container

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
_ABOVE = ("tool", "dagstack")  # the keys above `plugin` in a pyproject.toml


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
        command: the program and its arguments; empty for a server of this package's, which runs the plugin's code.
        working_dir: the folder that the server runs in; ``None`` for the plugin's own.
        env: environment variables that the server gets, with their values.
        inherit_env: names of the host's environment variables that it gets too.
        startup_timeout_sec: seconds until it must answer; ``None`` for the plugin's own limit.
        max_restarts: how often a server that ended is started again.
        backoff_sec: seconds before the first restart.
    """

    command: tuple[str, ...] = ()
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
        auth_header: name of the HTTP header that carries the secret; ``None`` for ``Authorization``.
        auth_secret_env: name of the host's environment variable that holds the secret.
        timeout_sec: seconds that one request may take.
        tls_ca_bundle: file with the certificates to trust; ``None`` for those of the system.
        tls_verify: whether the server's certificate is checked.
        max_retries: how often a request is sent again that could not be delivered.
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
        return _checked(document, Source(file), folder)

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


@lru_cache(maxsize=256)
def _specifiers(text: str) -> SpecifierSet:
    return SpecifierSet(text)


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
    try:
        if file.is_dir():
            found = find_manifest(file)
            if found is None:
                told = f"no manifest in this folder (looked for {', '.join(MANIFEST_FILES)})"
                raise FileNotFoundError(errno.ENOENT, told, str(file))
            file = found
        return read_manifest(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(Source(file), f"cannot be read: {error.strerror or error}") from error


def read_manifest(file: Path) -> PluginManifest:
    """Read and check the manifest in a file that was found.

    Args:
        file: the manifest's file, absolute.

    Raises:
        OSError: it can't be read.
        ManifestInvalid: it is faulty; with every fault.
    """
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - a Path's own way to the same takes twice the time
            content = opened.read()
        return _from_text(decoded(content), file)
    except Unreadable as error:
        raise unreadable(Source(file), str(error), error.line) from None


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a manifest file, for editors and documentation.

    Returns:
        The schema, a fresh copy at each call; ``properties.plugin`` describes the fields.
    """
    return deepcopy(schema())


def config_schema_file(file: Path) -> str | None:
    """The file that a manifest names as its ``config_schema``, by its name; ``None`` if it names none.

    Args:
        file: the manifest's file; whoever reads it whole is told what is wrong with it.
    """
    try:
        document = _document(_source(decoded(file.read_bytes()), file))
    except (OSError, Unreadable):
        return None
    named = reach(document, ("plugin", "config_schema"))
    return named if isinstance(named, str) else None


def _from_text(text: str, file: Path) -> PluginManifest:
    source = _source(text, file)
    document = _document(source)
    if not isinstance(document, dict) or "plugin" not in document:
        raise unreadable(source, how_to_begin(document, source))
    return _checked(document, source, file.parent)


def _source(text: str, file: Path) -> Source:
    return Source(file, text, "JSON" if file.suffix == ".json" else "TOML", _ABOVE if file.name == _PYPROJECT else ())


def _document(source: Source) -> Any:
    document = parsed(source.text, source.language)
    if not source.above:
        return document
    table = reach(document, (*_ABOVE, "plugin"))
    return {} if table is None else {"plugin": table}


def _speaks_of_plugin(pyproject: Path) -> bool:
    try:
        raw = pyproject.read_bytes()
        # Most are not ours: no need to parse those.
        return b"dagstack" in raw and reach(parsed(decoded(raw), "TOML"), (*_ABOVE, "plugin")) is not None
    except Unreadable:
        return b"tool.dagstack" in raw
    except OSError:
        return False


def _checked(document: Mapping[str, Any], source: Source, folder: Path | None) -> PluginManifest:
    try:
        table, found = examined(document)
        config_schema = table.get("config_schema")
        if isinstance(config_schema, str):
            try:
                config_schema = _config_schema(config_schema, folder)
            except Unreadable as error:
                told = Fault("", str(error), error.line)
                found.append((("plugin", "config_schema"), f"{config_schema!r}: {told}"))
        if not found:
            attributes = _attributes({**table, "config_schema": config_schema})
            return PluginManifest(**attributes, file=source.file, folder=folder)
    except RecursionError:
        raise unreadable(source, "is nested too deeply, or contains itself", of=document) from None
    raise invalid(source, document, found)


def _config_schema(name: str, folder: Path | None) -> dict[str, Any]:
    content = read_inside(folder, name)
    if not isinstance(content, dict):
        raise Unreadable(f"expected a JSON object, found {as_found(content)}")
    return content


def _attributes(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _CONVERT.get(key, _tupled)(value) for key, value in table.items()}


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


def _one_or_more(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _dependency(value: Any) -> Dependency:
    return Dependency(None, value) if isinstance(value, str) else Dependency(**value)


def _contract(table: Mapping[str, Any]) -> dict[str, Any]:
    contract: dict[str, Any] = _plain_copy(table)
    for hook, payloads in contract.get("examples", {}).items():
        contract["examples"][hook] = payloads if isinstance(payloads, list) else [payloads]
    return contract


def _plain_copy(value: Any) -> Any:
    """Dicts and lists all the way down, so that nobody else's changes reach the manifest."""
    if isinstance(value, Mapping):
        return {key: _plain_copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_copy(item) for item in value]
    return value


# How a field's value becomes the attribute of the same name, in whatever table; lists become tuples in any case.
_CONVERT: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("runtime", "kinds", "hooks"), _one_or_more),
    **dict.fromkeys(("supports", "config_schema", "metadata"), _plain_copy),
    # To JSON Schema 5.0 is an integer.
    **dict.fromkeys(("priority", "max_concurrency", "max_restarts", "max_retries"), int),
    "depends_on": lambda items: tuple(map(_dependency, items)),
    "resources": lambda table: ResourceNeeds(**_attributes(table)),
    "unit_of_work": lambda table: UnitOfWork(**_attributes(table)),
    "mcp_stdio": lambda table: McpStdio(**_attributes(table)),
    "mcp_http": lambda table: McpHttp(**_attributes(table)),
    "chain_wrap": lambda table: ChainWrap(**_attributes(table)),
    "env": dict,
    "contract": _contract,
}
