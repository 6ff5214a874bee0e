"""A ``blob_store`` in a bucket of Amazon S3, or of what speaks its protocol, on obstore."""

from __future__ import annotations

import atexit
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from dagstack_plugins.resources.blob_store import (
    MAX_KEY_BYTES,
    BlobNotFound,
    BlobStoreError,
    check_content_type,
    check_key,
    check_prefix,
    checked_data,
)
from dagstack_plugins.resources.settings import seconds, whole
from dagstack_plugins.wording import shown

if TYPE_CHECKING:
    from dagstack_plugins.resources.protocols import Keys

_GOODBYE: Final = 0.02
"""Seconds that obstore's threads get to end what they do, when the process ends."""

_LONGEST: Final = 86_400
"""Seconds that a request may take at most: a day."""

_NO_TYPE: Final = "binary/octet-stream"
"""What S3 says of a blob that was given no content type."""

_first_used_in: Final[dict[str, int]] = {}
"""The process in which obstore began to run its threads, which a fork does not have."""


class S3BlobStore:
    """Blobs in a bucket, under their own keys, so that other programs find them there.

    Credentials and region come from the usual places, unless they are given: the environment (``AWS_ACCESS_KEY_ID``,
    ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``), web identity tokens, the
    metadata of containers and machines. For profiles and single sign-on, ``credentials`` takes what boto3 finds:
    ``obstore.auth.boto3.Boto3CredentialProvider()``.

    Connections break and servers stumble; that is tried again, ``retries`` times. Any number of threads and event
    loops may share one store; a process that was forked after its first use can't use any, so start processes by
    ``spawn``.

    A ``put`` or ``delete`` whose caller gives up, or that has no answer in time, may be done all the same, even a
    moment later. Large blobs are sent in parts; what is left of such a ``put`` that was given up is removed by a rule
    for incomplete multipart uploads in the bucket's lifecycle.

    Other programs may use the bucket. Objects whose keys are none here, such as ``a//b``, keep ``list`` from working:
    give the store a ``prefix`` of its own then. ``binary/octet-stream`` is what S3 says of blobs without a content
    type, so it is told as none.

    Args:
        bucket: the bucket, which exists.
        endpoint: the server's URL, for others than Amazon's.
        region: the bucket's region.
        access_key_id: with ``secret_access_key`` (and ``session_token``): who asks.
        secret_access_key: see above.
        session_token: see above.
        credentials: in their place: gives the credentials, again and again; one of ``obstore.auth``, say.
        prefix: put before every key, with a ``/``; the store knows only what lies there.
        timeout: seconds that one request may take.
        retries: how often a request is tried again.

    Raises:
        ImportError: obstore is not installed.
        ValueError: something given can't be used.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        credentials: Callable[[], Any] | None = None,
        prefix: str = "",
        timeout: float = 30.0,
        retries: int = 3,
    ) -> None:
        self._obstore = _obstore()
        self._given: dict[str, Any] = {
            "bucket": bucket,
            "endpoint": endpoint,
            "region": region,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
            "session_token": session_token,
            "credentials": credentials,
            "prefix": prefix,
            "timeout": timeout,
            "retries": retries,
        }
        if not isinstance(bucket, str) or not bucket or "/" in bucket:
            raise ValueError(f"{shown(bucket)} is no name of a bucket; folders in it are given as prefix=")
        if endpoint is not None:
            _check_url(endpoint)
        if prefix:
            check_key(prefix)
        if (access_key_id is None) != (secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key are given together, or neither")
        whole("retries", retries)
        if not 0 < seconds("timeout", timeout) <= _LONGEST:
            raise ValueError(f"timeout={shown(timeout)}: give seconds, more than 0, up to a day")
        limit = timedelta(seconds=timeout)
        self._prefix = prefix
        self._name = f"s3://{bucket}{'/' if prefix else ''}{prefix}"
        named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self._endpoint = endpoint or named or ""
        known = {
            "endpoint": endpoint,
            "region": region,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
            "session_token": session_token,
            "credential_provider": credentials,
        }
        try:
            self._store = self._obstore.store.S3Store(
                bucket,
                prefix=prefix or None,
                client_options={
                    "timeout": limit,
                    "allow_http": self._endpoint.lower().startswith("http:"),
                },
                retry_config={"max_retries": retries, "retry_timeout": limit * (1 + retries)},
                **{name: value for name, value in known.items() if value is not None},
            )
        except (self._obstore.exceptions.BaseError, ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{self._name} can't be used: {_told(error)}") from error
        self._bucket_seen = False

    async def put(self, key: str, data: bytes | bytearray | memoryview, *, content_type: str | None = None) -> None:
        """Store ``data``, in place of what was there: as a whole, or not at all.

        Args:
            key: where; ``check_key`` tells the rules.
            data: the bytes.
            content_type: their MIME type, which ``content_type`` tells.

        Raises:
            TypeError: ``data`` is not bytes.
            ValueError: ``key`` or ``content_type`` breaks a rule.
            BlobStoreError: the server can't be reached, or refuses.
        """
        self._check(key)
        check_content_type(content_type)
        data = checked_data(data)
        attributes = None if content_type is None else {"Content-Type": content_type}
        with self._failing(f"the blob {key!r} was not stored in"):
            await self._obstore.put_async(self._store, key, data, attributes=attributes)

    async def get(self, key: str) -> bytes:
        """What is stored under ``key``.

        Raises:
            BlobNotFound: nothing is.
            ValueError: ``key`` breaks a rule.
            BlobStoreError: the server can't be reached, or refuses.
        """
        self._check(key)
        with self._failing(f"the blob {key!r} can't be read from", key):
            found = await self._obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())

    async def content_type(self, key: str) -> str | None:
        """The content type that came with the blob, ``None`` if none did; raises as ``get`` does."""
        self._check(key)
        with self._failing(f"the blob {key!r} can't be read from", key):
            told: str | None = (await self._head(key)).attributes.get("Content-Type")
            return None if told == _NO_TYPE else told

    async def delete(self, key: str) -> None:
        """Forget what is stored under ``key``; silent if nothing is.

        Raises:
            ValueError: ``key`` breaks a rule.
            BlobStoreError: the server can't be reached, or refuses.
        """
        self._check(key)
        with self._failing(f"the blob {key!r} was not deleted from"):
            await self._obstore.delete_async(self._store, key)

    async def list(self, prefix: str = "") -> Keys:
        """The keys that start with the string ``prefix``, sorted.

        The server looks through the folder in which the prefix ends.

        Raises:
            BlobStoreError: the server can't be reached, or refuses.
        """
        check_prefix(prefix)
        folder = prefix.rpartition("/")[0]
        try:
            if folder:
                check_key(folder)
        except ValueError:  # no key is in there
            return []
        found: set[str] = set()
        with self._failing("the keys can't be listed of"):
            async for page in self._obstore.list(self._store, folder or None):
                found.update(entry["path"] for entry in page if entry["path"].startswith(prefix))
        return sorted(found)

    async def exists(self, key: str) -> bool:
        """Whether something is stored under ``key``.

        Raises:
            ValueError: ``key`` breaks a rule.
            BlobStoreError: the server can't be reached, or refuses.
        """
        self._check(key)
        try:
            with self._failing(f"the blob {key!r} can't be looked for in", key):
                await self._head(key)
        except BlobNotFound:
            return False
        return True

    def _check(self, key: str) -> None:
        check_key(key)
        if self._prefix and len(f"{self._prefix}/{key}".encode()) > MAX_KEY_BYTES:
            raise ValueError(f"{shown(key)} is too long: with the prefix {shown(self._prefix)}, at most 1,024 bytes")

    async def _head(self, key: str) -> Any:
        try:
            return await self._obstore.get_async(self._store, key, options={"head": True})
        except FileNotFoundError:
            if not self._bucket_seen:
                # It may be the bucket that is missing; only an answer with a body tells.
                await self._obstore.get_async(self._store, key)
            raise

    @contextmanager
    def _failing(self, what: str, key: str | None = None) -> Iterator[None]:
        if _first_used_in.setdefault("process", os.getpid()) != os.getpid():
            raise BlobStoreError(
                f"{what} {self._name}: obstore was used before this process was forked, and would wait for ever; "
                'start the process by "spawn"'
            )
        try:
            yield
        except FileNotFoundError as error:
            if key is None or "<Code>NoSuchBucket" in str(error):
                raise self._failure(what, error) from error
            self._bucket_seen = True
            raise BlobNotFound(key) from error
        except (self._obstore.exceptions.BaseError, OSError, ValueError) as error:
            raise self._failure(what, error) from error
        self._bucket_seen = True

    def _failure(self, what: str, error: Exception) -> BlobStoreError:
        where = f"{self._name} at {self._endpoint}" if self._endpoint else self._name
        return BlobStoreError(f"{what} {where}: {_told(error)}{_hint(str(error))}")

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process opens the same bucket.
        return partial(S3BlobStore, **self._given), ()

    def __repr__(self) -> str:
        return f"<S3BlobStore {self._name}>"


def _check_url(endpoint: str) -> None:
    try:
        url = urlsplit(endpoint)
        known = url.scheme in ("http", "https") and bool(url.hostname)
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"endpoint={shown(endpoint)}: give a URL, such as 'http://127.0.0.1:9000'")


@cache
def _obstore() -> Any:
    try:
        import obstore
        import obstore.store
    except ImportError as error:
        raise ImportError("S3BlobStore needs obstore: pip install 'dagstack-plugins[s3]'") from error
    # Its threads let go of Python's objects a moment after a result was handed over; one that does that while the
    # interpreter ends aborts the process; a known race in pyo3-async-runtimes.
    atexit.register(time.sleep, _GOODBYE)
    return obstore


def _told(error: Exception) -> str:
    """What obstore said, without the dump of its own objects; of a server's XML, code and message."""
    said = str(error).partition("\n\nDebug source:")[0]
    code, message = (re.search(f"<{name}>(.*?)</{name}>", said) for name in ("Code", "Message"))
    line = said.partition("\n")[0].partition("<?xml")[0].strip()
    return " ".join([line, *(found[1] for found in (code, message) if found)])


_HINTS: Final = {
    "<Code>NoSuchBucket": "create the bucket, or correct its name",
    "169.254.169.254": "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "InvalidAccessKeyId": "the access key is unknown there: look at AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret does not fit the access key: look at AWS_SECRET_ACCESS_KEY",
    "<Code>AccessDenied": "these credentials may not do that: look at the bucket's policy",
    "object with invalid path": "an object there has a key that is none here: give the store a prefix= of its own",
    "kind: Connect": "nobody answers there: look at endpoint=",
    "kind: Timeout": "it took longer than timeout=",
}


def _hint(said: str) -> str:
    return next((f"; {hint}" for sign, hint in _HINTS.items() if sign in said), "")
