"""mcp_http: a plugin is a service, spoken to by MCP's streamable HTTP."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
from mcp.client.streamable_http import streamable_http_client

from dagstack_plugins.addresses import is_loopback
from dagstack_plugins.manifest import McpHttp
from dagstack_plugins.resources.tls import trust
from dagstack_plugins.runtimes.mcp.careful_client import CarefulClient
from dagstack_plugins.runtimes.mcp.failures import Lost
from dagstack_plugins.runtimes.mcp.limits import LIMIT
from dagstack_plugins.runtimes.mcp.session import Session, opened
from dagstack_plugins.wording import raised

_CONNECTIONS: Final = 20
"""Connections that are kept for the next call."""


@asynccontextmanager
async def connected(how: McpHttp, folder: Path, tell: Callable[[str], None]) -> AsyncIterator[Session]:
    """A connection to a service.

    Args:
        how: the manifest's word.
        folder: the plugin's.
        tell: is told of doubts.

    Raises:
        Lost: if it can't be reached, or doesn't speak MCP.
    """
    over = asyncio.Event()

    async def broken() -> str:
        await over.wait()
        return "the service ended the session"

    async with CarefulClient(
        backoff=how.backoff_sec,
        over=over,
        headers=_headers(how, tell),
        verify=_trusted(how, folder, tell),
        # What is on this machine is reached without a proxy, which would see the secret.
        trust_env=not is_loopback(httpx2.URL(how.url).host),
        timeout=httpx2.Timeout(how.timeout_sec, pool=None),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=_CONNECTIONS),
    ) as client:
        transport = streamable_http_client(how.url, http_client=client, max_sse_event_size=LIMIT)
        try:
            async with opened(transport, broken) as session:
                client.retries = how.max_retries  # not before: who connects is tried again as a whole
                yield session
        except Lost as error:
            raise type(error)(f"{error} ({_where(how.url)})") from None


def _where(url: str) -> str:
    """An address without its query, which may be secret."""
    return str(httpx2.URL(url).copy_with(query=None, fragment=None))


def _headers(how: McpHttp, tell: Callable[[str], None]) -> dict[str, str]:
    """The header with the secret; no message ever shows that."""
    if how.auth_secret_env is None:
        return {}
    secret = os.environ.get(how.auth_secret_env, "").strip()
    if not secret:
        raise Lost(f"the environment variable {how.auth_secret_env}, which holds its secret, is not set, or empty")
    if not (secret.isascii() and secret.isprintable()):
        raise Lost(f"the environment variable {how.auth_secret_env} holds what can't be sent in a header")
    url = httpx2.URL(how.url)
    if url.scheme == "http" and not is_loopback(url.host):
        tell("its secret travels without encryption, as its address begins with http://")
    header = how.auth_header or "Authorization"
    bare = header.lower() == "authorization" and " " not in secret
    return {header: f"Bearer {secret}" if bare else secret}


def _trusted(how: McpHttp, folder: Path, tell: Callable[[str], None]) -> ssl.SSLContext | bool:
    if httpx2.URL(how.url).scheme == "http":
        return False
    if not how.tls_verify:
        tell("its server is trusted blindly, as tls_verify = false")
        return trust(False, httpx2)
    bundle: Any = True if how.tls_ca_bundle is None else folder / Path(how.tls_ca_bundle).expanduser()
    if how.tls_ca_bundle is not None and not bundle.exists():
        raise Lost(f"tls_ca_bundle: there is no {bundle}; give a file or a folder of certificates")
    try:
        return trust(bundle, httpx2)
    except (OSError, ValueError) as error:
        source = "tls_ca_bundle" if how.tls_ca_bundle else "the certificates that the system trusts"
        raise Lost(f"{source}: {raised(error)}") from None
