"""For authors of plugins, wherever this package is installed: fixtures, and ``pytest --contracts``.

With that option, or ``contracts = true`` in the ini file, each check of each manifest below the given paths is a test:
``plugins/echo/dagstack.toml::boundaries[execute]``.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

# Every pytest of an environment loads this module, so what is needed is imported when it is asked for.
if TYPE_CHECKING:
    from dagstack_plugins import (
        DeterministicRng,
        FrozenClock,
        InMemoryBlobStore,
        PluginContext,
        Proxy,
        ResourceRegistry,
        StubHttpClient,
        SuiteResult,
    )
    from dagstack_plugins.contract.bench import Bench
    from dagstack_plugins.contract.results import CheckResult
    from dagstack_plugins.contract.suite import Case, Plan

# Of what authors subclass; a bare `assert` would say nothing of what it found.
pytest.register_assert_rewrite("dagstack_plugins.conformance")

_NOTE: Final = "contract"
"""The name under which what a passed check has to say travels with its report."""


# --- pytest --contracts -----------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, and the line for the ini file."""
    group = parser.getgroup("contracts", "contract suite of dagstack-plugins")
    group.addoption("--contracts", action="store_true", help="check the contract of each plugin below the given paths")
    group.addoption(
        "--contracts-timeout", type=_seconds, default=30.0, metavar="SECONDS", help="how long each check may take (30)"
    )
    group.addoption(
        "--contracts-examples", type=_count, default=100, metavar="N", help="inputs made for each hook (100)"
    )
    group.addoption(
        "--contracts-seed", type=int, default=0, metavar="N", help="what they are made from (0): the same, the same"
    )
    group.addoption(
        "--hookspecs",
        action="append",
        default=[],
        metavar="PATH",
        help="a hookspec, or a folder of kinds; may be repeated (default: the nearest folder kinds/ or hookspecs/, "
        "from each plugin's folder upwards)",
    )
    parser.addini("contracts", "check the contract of each plugin below the given paths", type="bool", default=False)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < _AGES:
        raise argparse.ArgumentTypeError(f"is a number of seconds above 0, found {text}")
    return seconds


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"is 1 or more, found {text}")
    return count


_AGES: Final = 1e6


def pytest_configure(config: pytest.Config) -> None:
    """Say at once what is missing."""
    if _is_on(config):
        from dagstack_plugins.contract.needs import unmet

        if told := unmet():
            raise pytest.UsageError(told)


def _is_on(config: pytest.Config) -> bool:
    return bool(config.getoption("--contracts") or config.getini("contracts"))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take a manifest, if it is one and the option is on."""
    from dagstack_plugins.manifest import MANIFEST_FILES, find_manifest

    if file_path.name not in MANIFEST_FILES or not _is_on(parent.config):
        return None
    if find_manifest(file_path.parent) != file_path or _inside_another(file_path.parent, parent.config.rootpath):
        return None
    return ManifestFile.from_parent(parent, path=file_path)


def _inside_another(folder: Path, root: Path) -> bool:
    """Whether a folder lies in that of another plugin, where no host looks for plugins."""
    from dagstack_plugins.manifest import find_manifest

    return any(find_manifest(above) is not None for above in folder.parents if above.is_relative_to(root))


class ManifestFile(pytest.File):
    """A manifest; its items are the checks of its plugin."""

    def collect(self) -> Iterator[ContractItem]:
        """The checks; of a faulty manifest there is one, which fails."""
        from dagstack_plugins.contract.subject import subject_of
        from dagstack_plugins.contract.suite import Case, Plan, broken_manifest
        from dagstack_plugins.errors import PluginRegistryError
        from dagstack_plugins.manifest import load_manifest

        options = self.config.option
        try:
            subject = subject_of(
                load_manifest(self.path),
                hookspecs=options.hookspecs,
                examples=options.contracts_examples,
                seed=options.contracts_seed,
            )
        except (PluginRegistryError, OSError) as error:
            broken = broken_manifest(self.path, error)
            yield ContractItem.from_parent(self, name="manifest", case=Case("manifest"), broken=broken)
            return
        plan = Plan.of(subject)
        for case in plan.cases:
            yield ContractItem.from_parent(self, name=case.label, case=case, plan=plan)


class ContractItem(pytest.Item):
    """One check of a plugin, or of one of its hooks.

    Args:
        case: what is checked.
        plan: that of its plugin.
        broken: the result, where the manifest can't be read.
    """

    def __init__(
        self,
        *,
        case: Case,
        plan: Plan | None = None,
        broken: CheckResult | None = None,
        **known: Any,
    ) -> None:
        super().__init__(**known)
        self._case = case
        self._plan = plan
        self._broken = broken

    def runtest(self) -> None:
        """Run the check, in processes of its own.

        Raises:
            ContractFailure: if it failed, or nothing is proven.
        """
        result = self._result()
        if not result.status.ok:
            raise ContractFailure(result)
        if result.status != "passed":
            word = "excused" if result.status == "excused" else "not applicable"
            pytest.skip(f"{word}: {result.reason}")
        if result.note:
            self.user_properties.append((_NOTE, f"{result.plugin}: {result.label} {result.note}"))

    def _result(self) -> CheckResult:
        if self._plan is None:
            assert self._broken is not None
            return self._broken
        return self._plan.run(self._case, _bench(self.config), self.config.option.contracts_timeout)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        """What was found; of an error of the suite itself, the traceback."""
        error = excinfo.value
        return str(error.result) if isinstance(error, ContractFailure) else super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The manifest, and the check."""
        return self.path, 0, f"contract {self.name}"


class ContractFailure(Exception):
    """A check of the contract failed, or is not proven.

    Args:
        result: what came of it.
    """

    def __init__(self, result: CheckResult) -> None:
        super().__init__(str(result))
        self.result = result


_BENCH: Final = pytest.StashKey["Bench"]()


def _bench(config: pytest.Config) -> Bench:
    from dagstack_plugins.contract.bench import Bench

    if _BENCH not in config.stash:
        config.stash[_BENCH] = Bench()
        config.stash[_BENCH].start()
    return config.stash[_BENCH]


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the processes that checks ran in."""
    if _BENCH in config.stash:
        config.stash[_BENCH].close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which paths hold no plugin, and what passed checks have to say."""
    if not _is_on(config):
        return
    # Where the ini file switches it on, other paths are given for other tests.
    empty = _empty(config) if config.getoption("--contracts") else []
    told = [f"no plugin below {path}: a plugin is a folder with a dagstack.toml" for path in empty]
    for report in terminalreporter.getreports("passed"):
        told += [str(text) for name, text in getattr(report, "user_properties", ()) if name == _NOTE]
    if told:
        terminalreporter.section("contracts")
        for line in told:
            terminalreporter.write_line(line)


def _empty(config: pytest.Config) -> list[str]:
    from dagstack_plugins.discovery.folders import plugin_folders

    paths = [Path(argument.partition("::")[0]) for argument in config.args]
    folders = [path if path.is_absolute() else config.invocation_params.dir / path for path in paths]
    return [str(folder) for folder in folders if folder.is_dir() and next(plugin_folders(folder), None) is None]


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def contract_suite(request: pytest.FixtureRequest) -> Callable[..., SuiteResult]:
    """``run_contract_suite``, with the limits that the command line says."""
    from dagstack_plugins import run_contract_suite

    options = request.config.option
    return functools.partial(
        run_contract_suite,
        timeout=options.contracts_timeout,
        examples=options.contracts_examples,
        seed=options.contracts_seed,
        **({"hookspecs": options.hookspecs} if options.hookspecs else {}),
    )


@pytest.fixture
def load_plugin(request: pytest.FixtureRequest, plugin_resources: ResourceRegistry) -> Iterator[Callable[..., Proxy]]:
    """Starts a plugin in a host of the test's own, and gives what hosts call: ``load_plugin("plugins/echo")``.

    Arguments: the plugin's folder, or its class and ``manifest=``; ``config=`` for its section of the configuration,
    ``hookspecs=`` for where kinds are declared. It is lent ``plugin_resources``, and torn down after the test.
    """
    from dagstack_plugins.contract.loading import TestHost

    with TestHost(plugin_resources, request.config.option.hookspecs) as host:
        yield host.load


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """A clock that stands at the beginning of the year 2000 until a test moves it."""
    from dagstack_plugins import FrozenClock

    return FrozenClock()


@pytest.fixture
def deterministic_rng() -> DeterministicRng:
    """Random values that are the same in every run."""
    from dagstack_plugins import DeterministicRng

    return DeterministicRng(seed=0)


@pytest.fixture
def stub_http() -> Iterator[StubHttpClient]:
    """A client that answers as a test programs it; a request without an answer fails the test, be it swallowed."""
    from dagstack_plugins import StubHttpClient

    stub = StubHttpClient()
    yield stub
    stub.verify(unused=False)


@pytest.fixture
def memory_blobs() -> InMemoryBlobStore:
    """An empty blob store."""
    from dagstack_plugins import InMemoryBlobStore

    return InMemoryBlobStore()


@pytest.fixture
def plugin_resources(
    frozen_clock: FrozenClock,
    deterministic_rng: DeterministicRng,
    stub_http: StubHttpClient,
    memory_blobs: InMemoryBlobStore,
) -> Iterator[ResourceRegistry]:
    """The host's resources: all standard ones, with the parts for tests. Override it to register more."""
    from dagstack_plugins import ResourceRegistry

    resources = ResourceRegistry()
    resources.register("clock", frozen_clock)
    resources.register("rng", deterministic_rng)
    resources.register("http_client", stub_http)
    resources.register("blob_store", memory_blobs)
    yield resources
    resources.close()


@pytest.fixture
def plugin_context(plugin_resources: ResourceRegistry) -> Iterator[PluginContext]:
    """What ``setup`` is given: a context of one plugin, which may read all of ``plugin_resources``.

    A test sets its configuration by ``plugin_context.config = {…}``.
    """
    from dagstack_plugins import PluginContext, PluginManifest, PluginRegistry

    declared = {"required": plugin_resources.names()}
    manifest = {"name": "plugin", "kind": "test", "runtime": "in_process", "core_version": ">=0", "resources": declared}
    lent = plugin_resources.lend(PluginManifest.from_dict(manifest))
    registry = PluginRegistry(resource_registry=plugin_resources)
    yield PluginContext().for_plugin("test", "plugin", config={}, registry=registry, resources=lent)
    lent.release()
