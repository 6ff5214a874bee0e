"""JSON values as Python code, laid out as formatters would."""

from __future__ import annotations

import textwrap
from typing import Any


def literal(value: Any, width: int = 88, indent: int = 0, beside: int = 0) -> str:
    """A JSON value as a Python expression, over several lines where one would be too long.

    Args:
        value: dicts, lists, strings, numbers, booleans, ``None``.
        width: columns of a line.
        indent: the column that the expression's further lines start from.
        beside: columns that its first line needs for what stands beside it.

    >>> print(literal({"a": [1, None], "b": 'x"y'}))
    {"a": [1, None], "b": 'x"y'}
    >>> print(literal({"first": "x" * 10, "second": [True]}, width=21))
    {
        "first": "xxxxxxxxxx",
        "second": [True],
    }
    """
    flat = _flat(value)
    if indent + beside + len(flat) <= width or not value or not isinstance(value, dict | list):
        return flat
    inner, outer = " " * (indent + 4), " " * indent
    if isinstance(value, dict):
        keys = ((f"{_flat(key)}: ", item) for key, item in value.items())
        items = [f"{key}{literal(item, width, indent + 4, len(key) + 1)}" for key, item in keys]
        return "\n".join(["{", *(f"{inner}{item}," for item in items), f"{outer}}}"])
    items = [literal(item, width, indent + 4, 1) for item in value]
    return "\n".join(["[", *(f"{inner}{item}," for item in items), f"{outer}]"])


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return string(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_flat(key)}: {_flat(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    return repr(value)


def string(text: str) -> str:
    """A text as a Python literal, in double quotes unless it has some itself."""
    quoted = repr(text)
    return quoted if quoted[0] == '"' or '"' in text else f'"{quoted[1:-1]}"'


def docstring(text: str, width: int = 88) -> str:
    """A text as a docstring, wrapped; its further lines are for the caller to indent.

    >>> docstring("Takes  a text.").strip('"')
    'Takes a text.'
    """
    lines = textwrap.wrap(" ".join(text.split()), width)
    told = "\n".join(map(_in_quotes, lines))
    return f'"""{told}\n"""' if len(lines) > 1 else f'"""{told}"""'


def _in_quotes(line: str) -> str:
    safe = line.replace("\\", "\\\\")
    if '"""' in safe or safe.endswith('"'):
        safe = safe.replace('"', r"\"")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in safe)
