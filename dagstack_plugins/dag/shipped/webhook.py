"""``WebhookPlugin``: tells a URL when a run has ended."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from dagstack_plugins.dag.events import HookContext, HookEvent
from dagstack_plugins.dag.hooks import HookRegistry
from dagstack_plugins.dag.plugins import DagPlugin
from dagstack_plugins.dag.shipped.logs import told
from dagstack_plugins.resources.protocols import HttpClient
from dagstack_plugins.runtimes.background import BackgroundLoop
from dagstack_plugins.wording import raised

Message = Callable[[HookContext], Mapping[str, Any] | None]
"""What is sent at the end of a run, as JSON; ``None``: nothing."""

_log: Final = logging.getLogger("dagstack_plugins")
_AT_ONCE: Final = 100
"""Messages that may be under way; a server that takes none must not fill the memory."""


class WebhookPlugin(DagPlugin):
    """Sends JSON to a URL at the end of each run that did not succeed; no run waits for it.

    By default it is ``{"text": …}``, which Slack and others take. A message that can't be sent is logged.

    Examples:
        >>> from dagstack_plugins import StubHttpClient
        >>> from dagstack_plugins.dag import PluginManager
        >>> manager = PluginManager()
        >>> manager.register(WebhookPlugin("https://hooks.example/", client=StubHttpClient()))

    Args:
        url: where to.
        message: what is sent, made of the context of ``POST_EXECUTE``; for ``None``, nothing is. With one, it is asked
            at the end of every run, those that succeeded included.
        client: what sends it; left out, an ``HttpxClient`` of the plugin's own (extra ``http``).
        headers: what is sent beside it.
        patience: seconds that ``teardown`` waits for messages that are under way.
    """

    name = "webhook"

    def __init__(
        self,
        url: str,
        *,
        message: Message | None = None,
        client: HttpClient | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = 10.0,
    ) -> None:
        self._url = url
        self._message = _text if message is None else message
        self._client = client
        self._own: Any = None
        self._headers = dict(headers or {})
        self._patience = patience
        self._loop: BackgroundLoop | None = None
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._sending: set[asyncio.Task[None]] = set()

    def initialize(self, hooks: HookRegistry) -> None:
        """Listen to the ends of runs."""
        if self._client is None:
            from dagstack_plugins.resources.http_client import HttpxClient

            self._own = HttpxClient()
        self._loop = BackgroundLoop().__enter__()
        hooks.register(HookEvent.POST_EXECUTE, self._ended)

    def teardown(self) -> None:
        """Send what is under way, and close."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.run(self._finish())
            loop.__exit__()

    def _ended(self, ctx: HookContext) -> None:
        given = self._message(ctx)
        if given is None or self._loop is None:
            return
        message = dict(given)
        if not self._free.acquire(blocking=False):
            _log.error("a message to %s was dropped: %d others are under way", self._url, _AT_ONCE)
            return
        self._loop.loop.call_soon_threadsafe(self._begin, message)

    def _begin(self, message: dict[str, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._send(message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            client = self._client or self._own
            answer = await client.post(self._url, json=message, headers=self._headers)
            if answer.status_code >= 400:
                _log.error("%s answered a message with status %d", self._url, answer.status_code)
        except Exception as error:
            _log.error("a message to %s was not sent: %s", self._url, raised(error))
        finally:
            self._free.release()

    async def _finish(self) -> None:
        if self._sending:
            await asyncio.wait(self._sending, timeout=self._patience)
        if self._own is not None:
            await self._own.aclose()


def _text(ctx: HookContext) -> Mapping[str, Any] | None:
    result = ctx.execution_result
    if result.ok:
        return None
    blamed = [one for one in result.node_results.values() if one.status in ("failed", "timed_out")]
    nodes = "".join(f"\n{one.name}: {raised(one.error)}" for one in blamed[:10])
    return {"text": f"run {ctx.run_id} {told(result)}{nodes}"}
