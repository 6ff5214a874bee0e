"""Decorators of resources: an object that is the resource, but for what happens round its methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final, TypeAlias

Round: TypeAlias = "Callable[[str, Callable[..., Any]], Callable[..., Any]]"
"""Given a method's name and the method, gives what is called in its place."""

# Python looks for these in the type, so handing on attributes does not hand on them.
_NOT_HANDED_ON: Final = frozenset(dir(object)) | {"__getattr__", "__del__", "__copy__", "__deepcopy__", "__setstate__"}


def around(resource: Any, wrapped: Round) -> Any:
    """The resource, with something round each of its public methods.

    Each method is wrapped when it is first read; from then on reading it is a plain attribute access. Calling the
    resource itself counts as its method ``__call__``. All else is the resource's own: attributes that are no methods,
    names that begin with an underscore, ``len``, ``[]``, ``with`` and the like, and what its methods return. To
    ``isinstance`` it is of the resource's class; it equals itself alone.

    Args:
        resource: what is decorated.
        wrapped: given a method's name and the method, gives what is called in its place: the same method, or a
            function of the same colour.

    Examples:
        >>> from dagstack_plugins import Clock, SystemClock
        >>> def counted(name, method):
        ...     def call(*args, **kwargs):
        ...         print("calls", name)
        ...         return method(*args, **kwargs)
        ...     return call
        >>> clock = around(SystemClock(), counted)
        >>> clock.now().tzinfo, isinstance(clock, Clock)
        calls now
        (datetime.timezone.utc, True)
    """
    kind: Any = type(resource)
    return _type_of(kind)(resource, wrapped)


class _Around:
    """Stands where the resource would; what it has of its own begins with ``_around``, so as to be in nobody's way."""

    def __init__(self, resource: Any, wrapped: Round) -> None:
        self._around_resource = resource
        self._around_wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._around_resource, name)
        if name.startswith("_") or not (inspect.isroutine(found) or isinstance(found, partial)):
            return found
        found = self.__dict__[name] = self._around_wrapped(name, found)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_around_"):
            self.__dict__[name] = value
        else:
            self.__dict__.pop(name, None)  # it was wrapped
            setattr(self._around_resource, name, value)

    def __delattr__(self, name: str) -> None:
        self.__dict__.pop(name, None)
        delattr(self._around_resource, name)

    def __dir__(self) -> list[str]:
        return dir(self._around_resource)

    def __repr__(self) -> str:
        return f"<decorated {self._around_resource!r}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"{self!r} can't be copied: what decorates it, such as Metering, counts in this process")


@cache
def _type_of(kind: Any) -> type[_Around]:
    special: dict[str, Any] = {
        name: _handing_on(name)
        for name in dir(kind)
        if name.startswith("__") and name not in _NOT_HANDED_ON and callable(getattr(kind, name))
    }
    if "__call__" in special:
        special["__call__"] = _call
    special["__class__"] = property(lambda self: self._around_resource.__class__)
    return type("Around", (_Around,), special)


def _handing_on(name: str) -> Callable[..., Any]:
    def handed_on(self: _Around, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._around_resource, name)(*args, **kwargs)

    return handed_on


def _call(self: _Around, *args: Any, **kwargs: Any) -> Any:
    if "__call__" not in self.__dict__:
        self.__dict__["__call__"] = self._around_wrapped("__call__", self._around_resource.__call__)
    return self.__dict__["__call__"](*args, **kwargs)
