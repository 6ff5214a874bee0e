"""Resources on their way to a plugin in another process: pickled, as nothing else takes an object there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagstack_plugins.errors import PluginUnavailable
from dagstack_plugins.parcels import packed
from dagstack_plugins.wording import raised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagstack_plugins.resources.lent import LentResources
    from dagstack_plugins.resources.offers import Offer
    from dagstack_plugins.resources.protocols import Borrower


def packed_resources(borrower: Borrower, lent: LentResources, offers: Mapping[str, Offer]) -> dict[str, bytes]:
    """What a plugin declares, each as the pickle of (value, factory, what decorates it).

    A factory of the host's own that makes one for each plugin goes there itself, and makes one there; of all else a
    copy goes, as the plugin would see it here.

    Args:
        borrower: the plugin's manifest.
        lent: the plugin's resources.
        offers: the registry's.

    Raises:
        PluginUnavailable: if one can't be pickled.
    """
    found = {}
    for name in lent:
        offer = offers.get(name)
        if offer is None:  # optional, and the host has none
            continue
        made_there = offer.scope == "plugin" and not offer.standard
        given: tuple[Any, ...] = (None, offer.factory, offer.wraps) if made_there else (lent.get(name), None, ())
        try:
            found[name] = packed(given)
        except Exception as error:
            raise _cannot(name, error, borrower, made_there=made_there) from error
    return found


def _cannot(name: str, error: Exception, borrower: Borrower, *, made_there: bool) -> PluginUnavailable:
    what = "its factory, and what decorates it, have" if made_there else "it has"
    return PluginUnavailable(
        f"the resource {name!r} can't go to a worker process, where {what} to be pickled: {raised(error)}; "
        'register it with scope="plugin" and a factory that is a function of a module, which makes one in each worker, '
        'or let the plugin say execution_model = "thread_cpu_bound"',
        kind=borrower.kind,
        plugin=borrower.name,
    )
