"""Faults planted in fine plugins are caught, each by its check; ``matrix.py`` does the same with all of them."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dagstack_plugins import ALL_CHECKS

HERE = Path(__file__).parent


def _loaded(name: str) -> ModuleType:
    """A module beside this one, which pytest doesn't import by name."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


matrix = _loaded("matrix")
specimen = functools.cache(matrix.Place.specimen)


def mutants(operator: str) -> Iterator[tuple[Any, Any]]:
    """All mutants of an operator, in an order that is the same everywhere, and made only as they are asked for."""
    for place in sorted(matrix.places(), key=lambda place: matrix.rank(f"{operator}@{place.name}")):
        found = specimen(place)
        mutant = matrix.OPERATORS[operator].apply(found) if found is not None else None
        if mutant is not None:
            yield place, mutant


@pytest.mark.parametrize("operator", matrix.OPERATORS)
def test_mutants_are_python_and_differ_from_their_plugins(operator: str) -> None:
    found = [mutant for _, mutant in islice(mutants(operator), 6)]
    assert len(found) == 6
    for mutant in found:
        compile(mutant.source, mutant.name, "exec")
        as_it_was = ast.unparse(ast.parse(mutant.specimen.source))
        is_changed = ast.unparse(ast.parse(mutant.source)) != as_it_was
        assert is_changed or mutant.manifest != mutant.specimen.manifest, mutant.name


def test_each_check_has_operators() -> None:
    assert {operator.check for operator in matrix.OPERATORS.values()} == set(ALL_CHECKS)


@pytest.mark.parametrize("operator", matrix.OPERATORS)
def test_mutants_are_caught(operator: str) -> None:
    seen = matrix.run(next(mutants(operator)))
    assert seen.caught, f"{seen.mutant.name}: {seen.told}"
