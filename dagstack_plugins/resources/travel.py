"""Resources on their way to a plugin in another process: pickled, as nothing else takes an object there.

A resource says how it travels by one method, ``for_worker(worker)``: it returns what goes in its place to the worker
process of that name (a description that opens the same store there, a stream of its own), or raises to say why
nothing can. Without it the resource itself goes, as pickle takes it.
"""

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


def packed_resources(
    borrower: Borrower, lent: LentResources, offers: Mapping[str, Offer], worker: str
) -> dict[str, bytes]:
    """What a plugin declares, each as the pickle of (value, factory, what decorates it).

    A factory of the host's own that makes one for each plugin goes there itself, and makes one there; of all else a
    copy goes, as the plugin would see it here.

    Args:
        borrower: the plugin's manifest.
        lent: the plugin's resources.
        offers: the registry's.
        worker: the name of the process.

    Raises:
        PluginUnavailable: if one can't go there.
    """
    found = {}
    for name in lent:
        offer = offers.get(name)
        if offer is None:  # optional, and the host has none
            continue
        made_there = offer.scope == "plugin" and not offer.standard
        try:
            if made_there:
                found[name] = packed((None, offer.factory, offer.wraps))
            else:
                found[name] = packed((_to_send(lent.get(name), worker), None, ()))
        except Exception as error:
            raise _cannot(name, error, borrower, made_there=made_there) from error
    return found


def _to_send(resource: Any, worker: str) -> Any:
    # Asked of the class, so that what decorates the resource does not pass the question on, and is left out.
    how = getattr(type(resource), "for_worker", None)
    if how is None:
        return resource
    sent = how(resource, worker)
    if sent is None:
        raise TypeError("its for_worker() returned None: return what goes there, or raise to say why nothing can")
    return sent


def _cannot(name: str, error: Exception, borrower: Borrower, *, made_there: bool) -> PluginUnavailable:
    what = "its factory, and what decorates it, have" if made_there else "it has"
    return PluginUnavailable(
        f"the resource {name!r} can't go to a worker process, where {what} to be pickled: {raised(error)}; "
        'register it with scope="plugin" and a factory that is a function of a module, which makes one in each worker, '
        "give it a method for_worker(worker) that returns what goes there in its place, "
        'or let the plugin say execution_model = "thread_cpu_bound"',
        kind=borrower.kind,
        plugin=borrower.name,
    )
