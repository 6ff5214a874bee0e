from __future__ import annotations

import ast
import warnings
from typing import Any

FUNCTIONS = {ast.FunctionDef: "function", ast.AsyncFunctionDef: "async function"}
METHODS = {ast.FunctionDef: "method", ast.AsyncFunctionDef: "async method"}
BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)  # nothing else can hold a definition
LONGEST_DETAIL = 120


class PythonIndexer:
    def index(self, text: str) -> dict[str, Any]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what the compiler thinks of the code's escapes is not our business
                tree = ast.parse(text)
        except SyntaxError as error:
            return _broken(error.msg, error.lineno)
        except (ValueError, RecursionError, MemoryError) as error:
            return _broken(str(error) or "nested too deeply", None)
        return {"language": "python", "symbols": _definitions(tree)}


def _definitions(tree: ast.Module) -> list[dict[str, Any]]:
    """Every class and function, however deep, in the order of their lines."""
    found: list[dict[str, Any]] = []
    waiting: list[tuple[ast.AST, str, bool]] = [(tree, "", False)]
    while waiting:
        parent, prefix, in_class = waiting.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef):
                found.append(_symbol(node, "class", prefix))
                waiting.append((node, f"{prefix}{node.name}.", True))
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found.append(_symbol(node, (METHODS if in_class else FUNCTIONS)[type(node)], prefix))
                waiting.append((node, f"{prefix}{node.name}.", False))
            elif isinstance(node, BLOCKS):
                waiting.append((node, prefix, in_class))
    return sorted(found, key=lambda symbol: (symbol["line"], symbol["name"]))


def _symbol(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, kind: str, prefix: str) -> dict[str, Any]:
    symbol = {"line": node.lineno, "kind": kind, "name": prefix + node.name}
    docstring = (ast.get_docstring(node, clean=False) or "").strip()
    if docstring:
        # A docstring may hold a lone surrogate ("\ud800"), which no JSON document can.
        first_line = docstring.splitlines()[0].strip()[:LONGEST_DETAIL]
        symbol["detail"] = first_line.encode(errors="replace").decode()
    return symbol


def _broken(message: str, line: int | None) -> dict[str, Any]:
    problem: dict[str, Any] = {"message": message}
    if line:
        problem["line"] = line
    return {"language": "python", "symbols": [], "problem": problem}
