"""What nodes run: functions, coroutine functions, hooks of plugins; and which results of other nodes they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dagstack_plugins.dag.errors import GraphInvalid
from dagstack_plugins.errors import Fault
from dagstack_plugins.wording import nearest, shown

if TYPE_CHECKING:
    from dagstack_plugins.registry import PluginRegistry

Task = Callable[..., Any]

_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_VARIADIC: Final = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


class _Parameter(NamedTuple):
    """A parameter of a task.

    Attributes:
        name: its name.
        must: whether it must be given.
        named: whether it can be given by name.
    """

    name: str
    must: bool
    named: bool


Parameters = Sequence[_Parameter] | None
"""The parameters of a task; ``None`` if it takes whatever there is."""


def takes(parameters: Parameters, needed: Collection[str]) -> tuple[str, ...]:
    """Which results a task takes: those of the nodes that parameters of it are named after; with ``**kwargs``, all.

    Args:
        parameters: the task's.
        needed: the nodes that its own waits for.

    Raises:
        TypeError: if there is a parameter that must be given and is none of them.
    """
    if parameters is None:
        return tuple(needed)
    missing = [one.name for one in parameters if one.must and not (one.named and one.name in needed)]
    if missing:
        known = f"; it waits for {', '.join(needed)}" if needed else "; it waits for none"
        raise TypeError(
            f"its task takes {', '.join(map(repr, missing))}, which is no node that it waits for"
            f"{nearest(missing[0], needed)}{known}"
        )
    return tuple(one.name for one in parameters if one.named and one.name in needed)


def parameters_of(task: Task) -> Parameters:
    """The parameters of a task."""
    if type(task) is FunctionType and not task.__code__.co_flags & _VARIADIC and not hasattr(task, "__wrapped__"):
        return list(_of_function(task))  # a fifth of the time that a signature takes: graphs have many
    try:
        parameters = inspect.signature(task).parameters.values()
    except ValueError:  # of some functions in C nobody knows
        return []
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return None
    given = [one for one in parameters if one.kind is not one.VAR_POSITIONAL]
    return [_Parameter(one.name, one.default is one.empty, one.kind in _NAMED) for one in given]


def _of_function(function: FunctionType) -> Iterator[_Parameter]:
    code, by_name = function.__code__, function.__kwdefaults__ or {}
    count, only = code.co_argcount, code.co_posonlyargcount
    with_default = count - len(function.__defaults__ or ())
    for place, name in enumerate(code.co_varnames[: count + code.co_kwonlyargcount]):
        must = place < with_default if place < count else name not in by_name
        yield _Parameter(name, must, place >= only)


def check_tasks(tasks: Mapping[str, Task], needed: Mapping[str, Collection[str]]) -> list[tuple[str, ...]]:
    """Which results each node's task takes, in the order of the nodes.

    Args:
        tasks: the task of each node.
        needed: for each node, those that it waits for.

    Raises:
        GraphInvalid: if nodes have no task, tasks no node, or tasks take what there is not; all of it at once.
    """
    faults: list[Fault] = list(_strangers(tasks, needed))
    found: list[tuple[str, ...]] = []
    known: dict[int, Parameters] = {}  # one task may be that of many nodes
    for name in needed:
        task = tasks.get(name)
        try:
            if task is None:
                raise TypeError("there is no task for this node")
            if not callable(task):
                raise TypeError(f"its task is no function: {shown(task)}")
            if id(task) not in known:
                known[id(task)] = parameters_of(task)
            parameters = known[id(task)]
            # Most take nothing, and need not be told what there is.
            found.append(takes(parameters, list(needed[name])) if parameters is None or parameters else ())
        except TypeError as error:
            faults.append(Fault(f"node {name!r}", str(error)))
    if faults:
        raise GraphInvalid("the tasks do not fit the graph:", faults=faults)
    return found


def _strangers(tasks: Mapping[str, Task], needed: Mapping[str, Any]) -> Iterator[Fault]:
    for name in tasks:
        if name not in needed:
            yield Fault(f"task {name!r}", f"there is no node of that name{nearest(str(name), needed)}")


def plugin_task(
    registry: PluginRegistry,
    kind: str,
    hook: str,
    *,
    name: str | None = None,
    payload: Mapping[str, Any] | Callable[..., Mapping[str, Any]] | None = None,
) -> Task:
    """A task that calls a hook of a plugin; its result is the node's value.

    Examples:
        >>> from dagstack_plugins import PluginRegistry
        >>> task = plugin_task(PluginRegistry(), "tool", "execute", name="greet", payload=lambda who: {"name": who})

    Args:
        registry: where the plugin is; it is started when the task runs.
        kind: the hook's kind.
        hook: the hook.
        name: the plugin's name; left out, the hook is called by its dispatch class.
        payload: what the hook gets; or a function that makes it of the results of nodes, by its parameters' names.

    Raises:
        KindUnknown: if the kind has no hookspec.
        HookUnknown: if the kind has no such hook.
    """
    getattr(registry.kind(kind), hook)
    make = payload if callable(payload) else None

    def task(**results: Any) -> Any:
        given = make(**results) if make is not None else payload or {}
        proxy = registry.kind(kind) if name is None else registry.get_plugin(kind, name)
        return getattr(proxy, hook)(given)

    task.__name__ = f"{kind}.{hook}"
    task.__signature__ = inspect.signature(make) if make is not None else inspect.Signature()  # type: ignore[attr-defined]
    return task
