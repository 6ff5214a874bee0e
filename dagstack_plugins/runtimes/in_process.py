"""in_process: a plugin's class is made into an instance here, and its methods are bound to its kind's hooks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from dagstack_plugins.errors import PluginLoadError
from dagstack_plugins.interrupts import is_interrupt
from dagstack_plugins.kinds.binding import Binding, BindingFault, bind, bind_native
from dagstack_plugins.kinds.compile import PROJECT, CompiledKind
from dagstack_plugins.kinds.model import Dispatch
from dagstack_plugins.manifest import PluginManifest
from dagstack_plugins.wording import near, raised, shown

_MARK: Final = f"{PROJECT}_impl"
"""The attribute that ``hookimpl`` sets on a native pluggy implementation."""


def implements(cls: type, hooks: Collection[str]) -> bool:
    """Whether a class has a method for one of ``hooks``."""
    if any(callable(getattr(cls, hook, None)) for hook in hooks):
        return True
    return any(options.get("specname") in hooks for _, options in _marked(cls))


def make_instance(found: Any, manifest: PluginManifest, file: str) -> Any:
    """The object whose methods are called: an instance of a class; anything else is taken as it is.

    Raises:
        PluginLoadError: if the class cannot be made without arguments.
    """
    if not isinstance(found, type):
        return found
    try:
        return found()
    except BaseException as error:  # SystemExit too: a constructor that exits must not take the host along
        if is_interrupt(error):
            raise
        if missing := _needed(found):
            problem = (
                f"needs arguments ({', '.join(missing)}), but plugins are made without any; read them in setup(ctx)"
            )
        else:
            problem = f"cannot be made: {raised(error)}"
        raise _load_error(f"{found.__name__} {problem}", manifest, file) from error


def _needed(cls: type) -> list[str]:
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return []
    skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in skipped]


def bind_hooks(instance: Any, compiled: CompiledKind, manifest: PluginManifest, file: str) -> dict[str, Binding]:
    """How each hook that ``instance`` has is called.

    Raises:
        PluginLoadError: if a required hook is missing, none is there, or one cannot be called with its payload.
    """
    natives = _native_implementations(instance, compiled, manifest, file)
    bindings: dict[str, Binding] = {}
    for hook in compiled.kind.hooks.values():
        method = getattr(instance, hook.name, None)
        if hook.name in natives:
            bindings[hook.name] = _bound(hook.name, natives[hook.name], bind_native, manifest, file)
        elif callable(method):
            how = functools.partial(_bind_method, payload=compiled.codecs[hook.name].input.type, manifest=manifest)
            bindings[hook.name] = _bound(hook.name, method, how, manifest, file)
    _check_complete(bindings, instance, compiled, manifest, file)
    _check_lifecycle(instance, manifest, file)
    for name, binding in bindings.items():
        if binding.is_async and manifest.execution_model.endswith("_cpu_bound"):
            told = f"hook {name!r} is a coroutine function, but execution_model = {manifest.execution_model!r}"
            raise _load_error(f"{told} runs plain functions; write `def`, or say 'async'", manifest, file, hook=name)
    return bindings


def slips(instance: Any, compiled: CompiledKind, bindings: Mapping[str, Binding]) -> Iterator[str]:
    """What is admitted, and yet was likely meant otherwise."""
    absent = [name for name in compiled.kind.hooks if name not in bindings]
    for name, meant in nearly_hooks(type(instance), absent, but=bindings):
        yield f"{name!r} is no hook of its kind, and nothing calls it; did you mean {meant!r}?"
    # Statically: to look at an attribute may run the plugin's code.
    lifecycle = [name for name in ("setup", "teardown") if inspect.getattr_static(instance, name, None) is None]
    for name, meant in nearly_hooks(type(instance), lifecycle, but=bindings):
        yield f"nothing calls {name!r}; did you mean {meant!r}?"
    for name, binding in bindings.items():
        nearly = near(binding.whole, binding.attributes, at_least=0.7) if binding.whole is not None else None
        if nearly is not None:
            whole = f"{binding.whole!r} of {name} gets the whole payload, as no property is called so"
            yield f"{whole}; did you mean {nearly!r}?"


def nearly_hooks(cls: type, absent: Collection[str], but: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Methods whose name is nearly that of a hook which the class doesn't have, each with that hook.

    Args:
        cls: a plugin's class.
        absent: the hooks that it doesn't have.
        but: methods that are hooks themselves: `charge` beside an absent `charged`.
    """
    for name, value in vars(cls).items() if absent else ():
        meant = near(name, absent, at_least=0.8) if name not in but and callable(value) else None
        if meant is not None:
            yield name, meant


def bind_matches(instance: Any, compiled: CompiledKind, manifest: PluginManifest, file: str) -> Binding | None:
    """How the plugin's own ``matches(payload)`` is called, if it has one and its kind has hooks that ask it."""
    if not any(hook.dispatch is Dispatch.CAPABILITY for hook in compiled.kind.hooks.values()):
        return None
    method = getattr(instance, "matches", None)
    if not callable(method):
        return None
    binding = _bound("matches", method, lambda function: bind(function, None), manifest, file)
    if binding.is_async:
        raise _load_error(
            "matches is a coroutine function; it decides while a call is routed, so it is a plain one", manifest, file
        )
    return binding


def _bind_method(method: Callable[..., Any], payload: Any, manifest: PluginManifest) -> Binding:
    if manifest.execution_model == "async" and not inspect.iscoroutinefunction(method):
        return bind(_awaited(method), payload, is_async=True)
    return bind(method, payload)


def _awaited(method: Callable[..., Any]) -> Callable[..., Any]:
    """A plain method of a plugin that calls itself async: what it returns is awaited if it can be."""

    @functools.wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        value = method(*args, **kwargs)
        return await value if inspect.isawaitable(value) else value

    return call


def _bound(
    name: str, method: Callable[..., Any], how: Callable[[Any], Binding], manifest: PluginManifest, file: str
) -> Binding:
    try:
        return how(method)
    except BindingFault as error:
        raise _load_error(f"hook {name!r} {error}", manifest, file, hook=name) from None


def _native_implementations(
    instance: Any, compiled: CompiledKind, manifest: PluginManifest, file: str
) -> Mapping[str, Callable[..., Any]]:
    found: dict[str, str] = {}
    for name, options in _marked(instance):
        if options.get("wrapper") or options.get("hookwrapper"):
            raise _load_error(
                f"{name!r} is a hook wrapper; what goes round calls is a plugin of kind 'horizontal_middleware'",
                manifest,
                file,
            )
        if options.get("tryfirst") or options.get("trylast"):
            raise _load_error(
                f"{name!r} sets its order in its marker; the manifest's fields do that here", manifest, file
            )
        hook = options.get("specname") or name
        if hook not in compiled.kind.hooks:
            if options.get("optionalhook"):
                continue
            raise _load_error(
                f"{name!r} implements {hook!r}, which kind {manifest.kind!r} does not have", manifest, file
            )
        if hook in found:
            raise _load_error(f"{found[hook]!r} and {name!r} both implement {hook!r}; keep one", manifest, file)
        found[hook] = name
    return {hook: getattr(instance, name) for hook, name in found.items()}


def _marked(plugin: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names of what ``hookimpl`` marked, with its options."""
    owners = plugin.__mro__ if isinstance(plugin, type) else (plugin, *type(plugin).__mro__)
    found: dict[str, Any] = {}
    # Read from the dictionaries, so that no property runs: those are the plugin's code.
    for owner in reversed(owners):
        if owner is not object:  # it has many, and none of them is marked
            found |= getattr(owner, "__dict__", {})
    for name, value in found.items():
        options = getattr(value, _MARK, None)
        if isinstance(options, dict):
            yield name, options


def _check_complete(
    bindings: Mapping[str, Binding], instance: Any, compiled: CompiledKind, manifest: PluginManifest, file: str
) -> None:
    hooks = compiled.kind.hooks
    name = instance.__name__ if hasattr(instance, "__name__") else type(instance).__name__
    missing = [hook.name for hook in hooks.values() if hook.required and hook.name not in bindings]
    if missing:
        raise _load_error(f"{name} lacks {', '.join(missing)}, which kind {manifest.kind!r} requires", manifest, file)
    if not bindings:
        raise _load_error(f"{name} has none of the hooks of kind {manifest.kind!r}: {', '.join(hooks)}", manifest, file)


def _check_lifecycle(instance: Any, manifest: PluginManifest, file: str) -> None:
    for name in ("setup", "teardown"):
        method = getattr(instance, name, None)
        if method is None:
            continue
        if not callable(method):
            raise _load_error(f"{name} is {shown(method)}, not a method", manifest, file)
        if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
            raise _load_error(f"{name} is a generator, which would never run; leave out its yield", manifest, file)
        wanted = "setup(self, ctx)" if name == "setup" else "teardown(self)"
        try:
            takes_context(method)
        except ValueError:
            raise _load_error(f"{name} has no signature that Python can read; write {wanted}", manifest, file) from None
        except TypeError:
            raise _load_error(
                f"{name} has the signature {inspect.signature(method)}; write {wanted}", manifest, file
            ) from None


def takes_context(method: Callable[..., Any]) -> bool:
    """Whether ``setup`` or ``teardown`` takes the context, or nothing.

    Raises:
        TypeError: if it takes neither.
        ValueError: if Python can't read its signature.
    """
    signature = inspect.signature(method)
    try:
        signature.bind(None)
    except TypeError:
        signature.bind()
        return False
    return True


def _load_error(message: str, manifest: PluginManifest, file: str, hook: str | None = None) -> PluginLoadError:
    return PluginLoadError(f"{file}: {message}", file=file, kind=manifest.kind, plugin=manifest.name, hook=hook)
