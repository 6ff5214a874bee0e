"""How a connection, or a call over it, fails; whoever catches one of these need not have imported the SDK."""

from __future__ import annotations

from dagstack_plugins.runtimes.mcp.limits import DEEPEST, LIMIT


class Lost(Exception):
    """There is no connection, or none any more; the message says why."""


class Closed(Lost):
    """The other side closed the connection, and did not say why."""


class Hung(Lost):
    """The other side does not answer: it is not asked to end, but ended."""


class NoAnswer(Exception):
    """A call got no answer; the message says why."""


class Unreachable(NoAnswer):
    """A call could not be delivered, however often that was tried."""


class Refused(Exception):
    """The server answered with an error of the protocol, or with what is no answer."""


class AnswerTooLong(Exception):
    """The answer has more bytes than any may have."""


class TooLong(Exception):
    """A message has more bytes than any may have.

    Args:
        length: that many.
    """

    def __init__(self, length: int) -> None:
        super().__init__(f"takes {length} bytes as JSON, and at most {LIMIT} go to a plugin in another process")
        self.length = length


class TooDeep(Exception):
    """A message is nested deeper than any may be."""

    def __init__(self) -> None:
        super().__init__(f"is nested too deeply: {DEEPEST} levels go to a plugin in another process")


class NotRead(Exception):
    """A process doesn't read what it is sent."""
