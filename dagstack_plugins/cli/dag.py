"""``dagstack-plugins dag``: graphs in YAML, whose nodes are hooks of plugins."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from dagstack_plugins.cli.configuration import config_option, read_config
from dagstack_plugins.cli.finding import find
from dagstack_plugins.cli.logs import log_to_stderr, quiet_library
from dagstack_plugins.cli.options import FILE, FOLDER, examples, hookspecs_option, installed_option, json_option
from dagstack_plugins.cli.output import complain, own_stdout, safe, told_path, write, write_json, write_lines
from dagstack_plugins.cli.signals import INTERRUPTED, TERMINATED, terminable
from dagstack_plugins.context import PluginContext
from dagstack_plugins.dag import (
    DAG,
    DAGExecutor,
    DagPlugin,
    DashboardPlugin,
    ExecutionResult,
    GateController,
    HookContext,
    HookEvent,
    HookRegistry,
    NodeResult,
    NodeStatus,
    PluginManager,
    ProgressPlugin,
)
from dagstack_plugins.dag.pipeline.document import Pipeline, Step, load_pipeline
from dagstack_plugins.dag.pipeline.fitting import pipeline_tasks
from dagstack_plugins.dag.shipped.logs import told
from dagstack_plugins.kinds.jsonvalues import NotJson, to_json
from dagstack_plugins.plugin import PluginState
from dagstack_plugins.registry import PluginRegistry
from dagstack_plugins.wording import nearest, place_of, raised, said

_STYLES: Final = {"succeeded": "green", "failed": "red", "timed_out": "red", "skipped": "dim", "cancelled": "yellow"}


@click.group()
def dag() -> None:
    """Run and draw pipelines: graphs in YAML, whose nodes are hooks of plugins."""


def _common(command: Callable[..., int]) -> Callable[..., int]:
    """What both commands need to know."""
    options = (
        click.argument("file", metavar="PIPELINE", type=FILE),
        click.option(
            "--plugins",
            metavar="PATH",
            multiple=True,
            type=FOLDER,
            help="Where plugins are; may be repeated. Default: the pipeline's folder.",
        ),
        installed_option,
        hookspecs_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@dag.command(
    epilog=examples(
        "dagstack-plugins dag run pipeline.yaml",
        "dagstack-plugins dag run pipeline.yaml --dashboard",
        "dagstack-plugins dag run pipeline.yaml --approve review --json | jq .status",
    )
)
@_common
@config_option
@click.option("--dashboard", is_flag=True, help="Serve a page that shows the run, where people decide at gates.")
@click.option("--port", type=int, metavar="PORT", help="The dashboard's port; 0: one that is free. Default: 8765.")
@click.option("--approve", metavar="NAME", multiple=True, help="Approve at the gate of this node; may be repeated.")
@json_option
@click.option("--verbose", is_flag=True, help="Show tracebacks, and what plugins log for information.")
def run(
    file: Path,
    plugins: tuple[Path, ...],
    installed: bool,
    hookspecs: tuple[Path, ...],
    config: Path | None,
    dashboard: bool,
    port: int | None,
    approve: tuple[str, ...],
    as_json: bool,
    verbose: bool,
) -> int:
    """Run a PIPELINE, and tell what became of its nodes.

    The plugins are started before, and torn down after. On a terminal, the dashboard is served until Ctrl-C.

    The status is 0 if all nodes succeeded, 1 if not, 2 for a wrong command line, 130 after Ctrl-C, 143 after SIGTERM.
    """
    own_stdout()  # from here on, plugins may print
    log_to_stderr(verbose=verbose)
    if port is not None and not dashboard:
        raise click.UsageError("--port is that of the dashboard: say --dashboard, too")
    context = PluginContext(read_config(config))
    pipeline = load_pipeline(file)
    gates = _gates(pipeline, approve, dashboard=dashboard)
    registry = _fitting(pipeline, plugins, hookspecs, installed=installed, verbose=verbose)
    hooks = HookRegistry(registry)
    with _dashboard(pipeline, hooks, gates, 8765 if port is None else port) if dashboard else nullcontext():
        interrupted, result = _executed(pipeline, registry, hooks, gates, context, verbose=verbose)
        if as_json:
            write_json(_as_json(pipeline, result), sort=False)
        else:
            write(*_as_text(result))
        if verbose:
            for one in result.node_results.values():
                if one.error is not None and one.status is not NodeStatus.SKIPPED:
                    traceback.print_exception(one.error)
        if interrupted:
            return interrupted
        if dashboard and _is_terminal():
            complain("the dashboard is served until Ctrl-C", "note")
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
    return 0 if result.ok else 1


def _executed(
    pipeline: Pipeline,
    registry: PluginRegistry,
    hooks: HookRegistry,
    gates: GateController,
    context: PluginContext,
    *,
    verbose: bool,
) -> tuple[int, ExecutionResult]:
    """Run it.

    Returns:
        What the exit status is if somebody interrupted it, else 0; and what became of it, as far as it came.
    """
    told: list[ExecutionResult] = []
    status = 0
    hooks.register(HookEvent.POST_EXECUTE, lambda ctx: told.append(ctx.execution_result))
    with _shown(hooks, gates), terminable() as signals, ExitStack() as stack:
        with nullcontext() if verbose else quiet_library():
            stack.enter_context(registry.running(context))
        tasks = pipeline_tasks(pipeline, registry)  # again: plugins have said by now what they take
        try:
            DAGExecutor(pipeline.dag(), hooks, gates, **pipeline.settings).execute(tasks)
        except KeyboardInterrupt:
            if not told:
                raise
            status = TERMINATED if signals else INTERRUPTED
    return status, told[-1]


def _fitting(
    pipeline: Pipeline, plugins: tuple[Path, ...], hookspecs: tuple[Path, ...], *, installed: bool, verbose: bool
) -> PluginRegistry:
    """The plugins, which are loaded and fit the pipeline."""
    folders = plugins or (() if installed else (pipeline.file.parent,))
    found = find(folders, hookspecs, installed=installed, verbose=verbose)
    found.complain()
    for refused in found.registry.unavailable_plugins():
        if refused.state is PluginState.UNAVAILABLE:
            reason = refused.reason.partition("\n")[0]
            complain(f"left out: {told_path(refused.location)}, as {reason}; 'check' tells more", "warning")
    pipeline_tasks(pipeline, found.registry)
    return found.registry


def _gates(pipeline: Pipeline, approved: tuple[str, ...], *, dashboard: bool) -> GateController:
    gates = GateController(pipeline.gates())
    for name in dict.fromkeys(approved):
        if not gates.has_gate(name):
            known = f"; the gates: {', '.join(gates.names())}" if gates.names() else "; the pipeline has no gates"
            raise click.BadParameter(
                f"there is no gate {name!r}{nearest(name, gates.names())}{known}", param_hint="--approve"
            )
        gates.approve(name, "on the command line")
    undecided = [
        name for name in gates.names() if gates.status(name) == "pending" and not gates.gate(name).auto_approve
    ]
    if undecided and not dashboard:
        flags = " ".join(f"--approve {name}" for name in undecided)
        raise click.UsageError(
            f"at {', '.join(undecided)} a person decides: say {flags}, or --dashboard and decide there"
        )
    return gates


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def _dashboard(pipeline: Pipeline, hooks: HookRegistry, gates: GateController, port: int) -> Iterator[None]:
    try:
        page = DashboardPlugin(port=port, gate_controller=gates, title=pipeline.name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--port") from None
    except ImportError as error:
        raise click.UsageError("\n".join([str(error), *getattr(error, "__notes__", ())])) from None
    page.initialize(hooks)
    try:
        yield
    finally:
        page.teardown()


@contextmanager
def _shown(hooks: HookRegistry, gates: GateController) -> Iterator[None]:
    """Progress on standard error: a bar on a terminal, else a line for each node; and for whom it waits."""
    console = Console(stderr=True) if _is_terminal() else None
    manager = PluginManager(hooks)
    manager.register(_Lines() if console is None else ProgressPlugin(console))
    manager.initialize_all()

    def tell(name: str) -> None:
        if gates.status(name) == "waiting":
            message = f"{safe(name)} waits for a decision on the page"
            if console is None:
                complain(message, "note")
            else:  # above the bar
                console.print(f"note: {message}", style="yellow", markup=False, highlight=False)

    unwatch = gates.watch(tell)
    try:
        yield
    finally:
        unwatch()
        manager.teardown_all()


class _Lines(DagPlugin):
    name = "lines"

    def initialize(self, hooks: HookRegistry) -> None:
        hooks.register(HookEvent.POST_NODE, self._tell)
        hooks.register(HookEvent.ON_ERROR, self._tell)

    def _tell(self, ctx: HookContext) -> None:
        complain(_line(ctx.node_result), str(ctx.node_name))


def _line(result: NodeResult) -> str:
    seconds = f" in {_seconds(result.duration_seconds)}" if result.attempts else ""
    why = f": {_why(result)}" if result.error is not None else ""
    return f"{result.status.replace('_', ' ')}{seconds}{why}"


def _why(result: NodeResult) -> str:
    return "" if result.error is None else raised(result.error) + place_of(result.error)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _as_text(result: ExecutionResult) -> Iterator[RenderableType]:
    rows = Table.grid(padding=(0, 2, 0, 0))
    for one in result.node_results.values():
        status = Text(one.status.replace("_", " "), _STYLES[one.status])
        seconds = _seconds(one.duration_seconds) if one.attempts else ""
        blamed = one.status in ("failed", "timed_out")
        rows.add_row(
            Text(safe(one.name)),
            status,
            Text(seconds, justify="right"),
            Text(safe(_why(one)) if blamed else ""),
        )
    yield rows
    yield Text(told(result), "bold")


def _as_json(pipeline: Pipeline, result: ExecutionResult) -> dict[str, Any]:
    return {
        "pipeline": pipeline.name,
        "run_id": result.run_id,
        "status": result.status,
        "seconds": result.total_duration_seconds,
        "nodes": {
            one.name: {
                "status": one.status,
                "seconds": one.duration_seconds,
                "attempts": one.attempts,
                "value": _plain(one.value),
                "error": None if one.error is None else {"type": type(one.error).__name__, "message": said(one.error)},
            }
            for one in result.node_results.values()
        },
    }


def _plain(value: Any) -> Any:
    try:
        return to_json(value)
    except NotJson:  # what plugins return always is; a gate's None, too
        return None


_FORMATS: Final[Mapping[str, Callable[[DAG], str]]] = {
    "dot": DAG.to_dot,
    "mermaid": DAG.to_mermaid,
    "json": DAG.to_json,
}


@dag.command(
    epilog=examples(
        "dagstack-plugins dag show pipeline.yaml",
        "dagstack-plugins dag show pipeline.yaml --format dot | dot -Tsvg > pipeline.svg",
    )
)
@_common
@click.option("--format", "form", type=click.Choice(["text", *_FORMATS]), default="text", help="Default: text.")
def show(file: Path, plugins: tuple[Path, ...], installed: bool, hookspecs: tuple[Path, ...], form: str) -> int:
    """Draw a PIPELINE, in an order in which its nodes can run; nothing is run.

    It is checked with the plugins that are there, whose code is loaded, but not started.
    """
    pipeline = load_pipeline(file)
    _fitting(pipeline, plugins, hookspecs, installed=installed, verbose=False)
    graph = pipeline.dag()
    if form != "text":
        write_lines(_FORMATS[form](graph).rstrip("\n"))
        return 0
    rows = Table.grid(padding=(0, 2, 0, 0))
    for name in (name for names in graph.generations() for name in names):
        step = pipeline.steps[name]
        after = f"after {', '.join(step.needs)}" if step.needs else ""
        rows.add_row(Text(name, "bold"), Text(safe(_called(step))), Text(after, "dim"))
    write(rows)
    return 0


def _called(step: Step) -> str:
    """``gate (600 s), tool.execute of publish``."""
    parts = []
    if step.gate is not None:
        told = "approves itself" if step.gate.auto_approve else f"{step.gate.timeout:g} s" if step.gate.timeout else ""
        parts.append(f"gate ({told})" if told else "gate")
    if step.kind is not None:
        parts.append(f"{step.kind}.{step.hook}" + (f" of {step.plugin}" if step.plugin else ""))
    return ", ".join(parts)
