"""Objects on their way to a worker process, as bytes."""

from __future__ import annotations

import io
import pickle
from typing import Any


def packed(value: Any) -> bytes:
    """The pickle of ``value``.

    Raises:
        Exception: if it can't be pickled, or a worker process could not make anything of it; many things raise many.
    """
    parcel = io.BytesIO()
    _Pickler(parcel).dump(value)
    return parcel.getvalue()


class _Pickler(pickle.Pickler):
    """Refuses what only the host's own program knows: a worker does not run that."""

    def reducer_override(self, value: Any) -> Any:
        """Asked of each object, classes and functions included, before it is pickled."""
        if getattr(value, "__module__", None) == "__main__" and hasattr(value, "__qualname__"):
            raise pickle.PicklingError(
                f"{value.__qualname__} is defined in the program itself, which a worker process does not run; "
                "move it to a module"
            )
        return NotImplemented
