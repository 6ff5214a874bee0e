"""Which servers are trusted."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any


def trust(verify: bool | str | Path | ssl.SSLContext, httpx: Any) -> ssl.SSLContext:
    """A context for TLS; reading the certificates takes longer than many a request, so it is made once.

    Args:
        verify: ``True``, by the system's certificates; a path to a CA bundle (a file or a folder); a context;
            ``False``, blindly.
        httpx: the module ``httpx2``.

    Raises:
        FileNotFoundError: if the path does not exist.
        ValueError: if it holds no certificate.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool):
        context: ssl.SSLContext = httpx.create_ssl_context(verify=verify)
        return context
    path = Path(verify).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"the CA bundle {path} does not exist: give verify= a file or a folder of certificates")
    try:
        if path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise ValueError(f"the CA bundle {path} holds no certificate in PEM form: {error}") from error
