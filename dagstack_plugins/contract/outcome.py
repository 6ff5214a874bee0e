"""What came of one call of a plugin."""

from __future__ import annotations

from typing import Any

import attrs

from dagstack_plugins.kinds.jsonvalues import to_json
from dagstack_plugins.wording import raised


@attrs.frozen
class Outcome:
    """What came of one call.

    Attributes:
        value: what the plugin's method returned, as it is.
        error: what it raised, if it did.
        stopped: whether it stopped a chain.
        awaited: whether there was anything to await.
        changed: what became of the payload, or of the one before, if the plugin changed that.
    """

    value: Any = None
    error: BaseException | None = None
    stopped: bool = False
    awaited: bool = False
    changed: Any = None

    @property
    def exits(self) -> bool:
        """Whether it tried to end its host."""
        return isinstance(self.error, SystemExit | KeyboardInterrupt)

    def told(self) -> dict[str, Any]:
        """The outcome as JSON, to compare it with that of another call."""
        if self.error is not None:
            return {"error": type(self.error).__name__, "message": raised(self.error)}
        try:
            return {"value": to_json(self.value), "stopped": self.stopped}
        except Exception as error:
            return {"unfit": raised(error)}
