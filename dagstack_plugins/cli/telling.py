"""Errors as the command tells them: the library's words, and what to do about it on a command line."""

from __future__ import annotations

from dagstack_plugins.errors import KindUnknown, PluginRegistryError
from dagstack_plugins.wording import place_of, raised


def told(error: BaseException) -> str:
    """What an error says, its notes included; errors that aren't the library's or the system's with their type."""
    message = with_hint(error)
    # Errors of the system are the command's own, such as a file that is missing, unless a plugin met them.
    notes = getattr(error, "__notes__", ())
    if not isinstance(error, PluginRegistryError | OSError) or (notes and not isinstance(error, PluginRegistryError)):
        message = raised(error) + place_of(error)
    return "\n".join([message, *getattr(error, "__notes__", ())])


def with_hint(error: BaseException) -> str:
    """What an error says, and how a command line helps; its notes are left out, where each error is told by itself."""
    return str(error) + _hint(error)


def _hint(error: BaseException) -> str:
    if isinstance(error, KindUnknown):
        # A kind that is known, but has no plugin, comes up in a call.
        option = (
            "--plugins PATH says where plugins are" if error.hook else "--hookspecs PATH says where kinds are declared"
        )
        return f"\non the command line, {option}"
    return ""
