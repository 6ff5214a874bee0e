"""A graph and its tasks as numbers, so that a run needs no names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from dagstack_plugins.dag.graph import DAG
from dagstack_plugins.dag.tasks import Task, check_tasks


@attrs.frozen(eq=False)
class Plan:
    """What a run goes by; nodes are numbered in the order of the graph.

    Attributes:
        names: the nodes' names.
        tasks: what each runs.
        takes: the results that each task takes: as parameters' names, and the nodes that they come from.
        needs: how many nodes each one waits for.
        dependents: those that wait for each one.
        places: the number of each name.
    """

    names: list[str]
    tasks: list[Task]
    takes: list[tuple[tuple[str, int], ...]]
    needs: list[int]
    dependents: list[list[int]]
    places: Mapping[str, int]

    @classmethod
    def of(cls, dag: DAG, tasks: Mapping[str, Task]) -> Plan:
        """A plan for a graph.

        Raises:
            GraphCycle: if nodes wait for each other in a circle.
            GraphInvalid: if the tasks don't fit the graph.
        """
        names = dag.node_names()
        places = {name: place for place, name in enumerate(names)}
        dependents = [[places[after] for after in waiting] for _, waiting in dag.graph.adjacency()]
        needs = [0] * len(names)
        for those_after in dependents:
            for place in those_after:
                needs[place] += 1
        if not _can_all_begin(needs, dependents):
            dag.check()
        taken = check_tasks(tasks, dag.graph.pred)
        takes = [tuple((name, places[name]) for name in those) if those else () for those in taken]
        return cls(names, [tasks[name] for name in names], takes, needs, dependents, places)


def _can_all_begin(needs: list[int], dependents: list[list[int]]) -> bool:
    left = list(needs)
    waiting = [place for place, count in enumerate(left) if not count]
    begun = 0
    while waiting:
        begun += 1
        for place in dependents[waiting.pop()]:
            left[place] -= 1
            if not left[place]:
                waiting.append(place)
    return begun == len(left)


def arguments(takes: tuple[tuple[str, int], ...], values: list[Any]) -> dict[str, Any]:
    """The results that a task takes, by its parameters' names."""
    return {name: values[place].value for name, place in takes}
