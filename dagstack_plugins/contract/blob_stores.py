"""What every ``blob_store`` has to do, as tests: for the stores of this package, and for those of others."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

from dagstack_plugins.resources.blob_store import MAX_KEY_BYTES, BlobNotFound
from dagstack_plugins.resources.protocols import BlobStore

Opened: TypeAlias = BlobStore | AbstractContextManager[BlobStore] | AbstractAsyncContextManager[BlobStore]

_MANY: Final = 1_100
"""More keys than S3 tells at once."""

_KEYS: Final = (
    "a",
    "A",
    "a.txt",
    "index",
    "index/page",
    "index/page/1",
    "a b",
    "a+b",
    "a%20b",
    "%",
    "a?b=c&d#e",
    "back\\slash",
    "..\\up",
    "C:colon",
    "con",
    "nul.txt",
    ".hidden",
    "...",
    "dot.",
    "~tilde",
    "*[glob]{x}",
    "<tag>|^`'\"",
    "=equals/+plus",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
    "cafe\N{COMBINING ACUTE ACCENT}",
    "漢字/かな",
    "😀",
    "line\N{LINE SEPARATOR}separator",
)
_BAD_KEYS: Final = {
    "no character": "",
    "a root": "/etc/passwd",
    "a step up": "../x",
    "a step up inside": "a/../b",
    "a dot": "./a",
    "an empty segment": "a//b",
    "a slash at the end": "a/",
    "2,000 characters": "x" * 2000,
    "1,025 bytes": "é" * 512 + "x",
    "NUL": "a\x00b",
    "a line feed": "a\nb",
    "half a surrogate pair": "a\ud800",
}


def blob_store_suite(make: Callable[[], Opened], *, largest: int = 64 * 2**20) -> type:
    """The tests of a blob store, as a class that pytest collects.

    Each test opens a store, works below a prefix of its own, and deletes what it put there once it has passed; so the
    store may hold other blobs, and need not be a fresh one.

    Args:
        make: opens the store: returns one, or a context manager (``with`` or ``async with``) that gives one. Called in
            a running event loop, at least once for each test. A store that is returned, and has ``aclose`` or
            ``close``, is closed after the test.
        largest: bytes of the largest blob that is put.

    Examples:
        >>> from dagstack_plugins import InMemoryBlobStore
        >>> from dagstack_plugins.contract import blob_store_suite
        >>> TestMyStore = blob_store_suite(InMemoryBlobStore)
        >>> TestMyStore().test_a_missing_key_is_not_found()

    .. versionadded:: 0.1
    """
    _check_maker(make)
    rules = {name: rule for name, rule in vars(_Rules).items() if name.startswith("test_")}
    tests = {name: _as_test(rule, make, largest) for name, rule in rules.items()}
    return type("TestBlobStore", (), {"__doc__": "What every blob store has to do.", **tests})


def _as_test(rule: Callable[[_Rules], Awaitable[None]], make: Callable[[], Opened], largest: int) -> Any:
    @functools.wraps(rule)
    def test(_: object) -> None:
        __tracebackhide__ = True  # pytest shows what the rule found, not how it was run

        async def main() -> None:
            prefix = f"suite-{uuid.uuid4().hex}"
            async with _opened(make) as store:
                await _check_methods(store, f"{prefix}-first")  # beside what the rule looks at
                await rule(_Rules(store, prefix, make, largest))
                await _all(map(store.delete, await store.list(prefix)))

        try:
            asyncio.run(main())
        except Exception as error:
            error.add_note(f"the rule: {inspect.cleandoc(rule.__doc__ or '')}")
            raise

    del test.__wrapped__  # pytest would look for the rule's own parameters
    return test


def _check_maker(make: Callable[[], Opened]) -> None:
    try:
        inspect.signature(make).bind()
    except TypeError:
        raise TypeError(
            f"blob_store_suite() takes what opens your store without arguments, got {make!r}: write "
            "blob_store_suite(lambda: MyStore(…))"
        ) from None


async def _check_methods(store: BlobStore, key: str) -> None:
    """Tell first what would make every test fail in words of Python's own."""
    for name, args in (("put", (key, b"")), ("get", (key,)), ("list", (key,)), ("exists", (key,)), ("delete", (key,))):
        method = getattr(store, name, None)
        _check(callable(method), f"{store!r} has no method {name}()")
        with suppress(Exception):  # what it does is the tests' affair
            result: Any = method(*args)  # type: ignore[misc]
            if inspect.isawaitable(result):
                await result
                continue
            method = None
        _check(method is not None, f"{name}() gave nothing to await: write `async def {name}`")


@asynccontextmanager
async def _opened(make: Callable[[], Opened]) -> AsyncIterator[BlobStore]:
    opened = make()
    if isinstance(opened, AbstractAsyncContextManager):
        async with opened as store:
            yield store
    elif isinstance(opened, AbstractContextManager):
        with opened as store:
            yield store
    else:
        try:
            yield opened
        finally:
            await _close(opened)


async def _close(store: object) -> None:
    close = getattr(store, "aclose", None) or getattr(store, "close", None)
    if callable(close) and inspect.isawaitable(closing := close()):
        await closing


async def _all(work: Any) -> list[Any]:
    """Await many, not all of them at once."""
    places = asyncio.Semaphore(32)

    async def one(awaited: Awaitable[Any]) -> Any:
        async with places:
            return await awaited

    return await asyncio.gather(*map(one, work))


class _Rules:
    """One rule a method; the docstring is the rule."""

    def __init__(self, store: BlobStore, prefix: str, make: Callable[[], Opened], largest: int) -> None:
        self.store = store
        self.prefix = prefix
        self.make = make
        self.largest = largest

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    async def names(self, prefix: str = "") -> list[str]:
        """The listed keys, without this test's own prefix."""
        return [key.removeprefix(f"{self.prefix}/") for key in await self.store.list(self.key(prefix))]

    async def test_it_has_the_methods_of_a_blob_store(self) -> None:
        """It can do what the protocol says: put, get, delete, list and exists, each ``async def``."""
        await _check_methods(self.store, self.key("a"))

    async def test_what_was_put_can_be_got(self) -> None:
        """``get`` gives the bytes that were put."""
        await self.store.put(self.key("a"), b"\x00\xff\r\nbytes")
        _equal(await self.store.get(self.key("a")), b"\x00\xff\r\nbytes", "what was got")
        _check(type(await self.store.get(self.key("a"))) is bytes, "what was got is not of type bytes")

    async def test_the_last_put_counts(self) -> None:
        """A second ``put`` takes the place of the first, be it shorter."""
        for data in (b"a long first one", b"short", b""):
            await self.store.put(self.key("a"), data)
            _equal(await self.store.get(self.key("a")), data, "after another put")
        _equal(await self.names(), ["a"], "the keys after three puts under one")

    async def test_a_missing_key_is_not_found(self) -> None:
        """``get`` of a missing key is a ``BlobNotFound``, which is a ``KeyError`` and names the key."""
        try:
            await self.store.get(self.key("missing"))
        except BlobNotFound as error:
            _check("missing" in str(error), f"the message does not name the key: {error}")
        except KeyError as error:
            raise AssertionError(f"get() of a missing key: expected BlobNotFound(key), got {error!r}") from error
        else:
            raise AssertionError("get() of a missing key raised nothing, BlobNotFound was expected")

    async def test_what_was_deleted_is_gone(self) -> None:
        """``delete`` forgets, ``exists`` tells, and deleting what is not there is silent."""
        try:
            await self.store.delete(self.key("a"))
        except KeyError as error:
            raise AssertionError(f"delete() of a missing key raised {error!r}, and is to be silent") from error
        _check(not await self.store.exists(self.key("a")), "exists() tells of what was never put")
        await self.store.put(self.key("a"), b"1")
        _check(await self.store.exists(self.key("a")), "exists() does not tell of what was put")
        await self.store.delete(self.key("a"))
        await self.store.delete(self.key("a"))
        _check(not await self.store.exists(self.key("a")), "exists() tells of what was deleted")
        _equal(await self.names(), [], "the keys after delete()")

    async def test_every_lawful_key_is_a_key(self) -> None:
        """Letters of all languages, and all signs, stand for themselves; two different keys are two blobs."""
        await _all(self.store.put(self.key(name), name.encode()) for name in _KEYS)
        _equal(await self.names(), sorted(_KEYS), "the keys")
        for name in _KEYS:
            _equal(await self.store.get(self.key(name)), name.encode(), f"the blob under {name!r}")

    async def test_keys_may_be_long(self) -> None:
        """A key has up to 1,024 bytes in UTF-8, in one segment or in many."""
        room = min(MAX_KEY_BYTES - len(self.key("")), 960)  # stores below a prefix of their own have less
        long = ["x" * room, "é" * (room // 2), "/".join(["ab"] * (room // 3)), "Ü%/" * (room // 4 - 1) + "end"]
        await _all(self.store.put(self.key(name), name.encode()) for name in long)
        _equal(await self.names(), sorted(long), "the long keys")
        for name in long:
            _equal(await self.store.get(self.key(name)), name.encode(), "the blob under a long key")
        _equal(await self.names("x" * 500), [long[0]], "the long keys with a long prefix")
        await self.store.delete(self.key(long[0]))
        _check(not await self.store.exists(self.key(long[0])), "a long key was deleted, but exists() tells of it")

    async def test_every_other_key_is_refused(self) -> None:
        """What is no key is a ``ValueError`` of each method, and changes nothing."""
        before = await self.store.list()
        for why, key in _BAD_KEYS.items():
            for method, args in (("put", (b"x",)), ("get", ()), ("delete", ()), ("exists", ())):
                what = f"{method}() of a key with {why}, {_short(key)}: expected ValueError"
                try:
                    await getattr(self.store, method)(key, *args)
                except ValueError:
                    continue
                except Exception as error:
                    raise AssertionError(f"{what}, got {error!r}") from error
                raise AssertionError(f"{what}, got no error")
        _equal(await self.store.list(), before, "the keys after refused ones")

    async def test_blobs_are_bytes(self) -> None:
        """Anything else is a ``TypeError``, and leaves what is there."""
        await self.store.put(self.key("a"), b"first")
        for data in ("text", None, 5, ["x"]):
            try:
                await self.store.put(self.key("a"), data)  # type: ignore[arg-type]
            except TypeError:
                continue
            raise AssertionError(f"put() of {type(data).__name__}: expected TypeError")
        _equal(await self.store.get(self.key("a")), b"first", "after refused puts")

    async def test_blobs_may_be_empty_or_large(self) -> None:
        """From no byte at all to the largest that the suite was told of."""
        await self.store.put(self.key("empty"), b"")
        _equal(await self.store.get(self.key("empty")), b"", "an empty blob")
        _check(await self.store.exists(self.key("empty")), "an empty blob does not exist")
        large = (random.Random(0).randbytes(2**16) * (self.largest // 2**16 + 1))[: self.largest]
        await self.store.put(self.key("large"), large)
        _check(await self.store.get(self.key("large")) == large, f"a blob of {self.largest:,} bytes came back changed")

    async def test_a_prefix_is_the_beginning_of_a_text(self) -> None:
        """Prefixes end anywhere, in a segment too; what no key begins with lists nothing."""
        names = ["a", "a/b", "a/b/c", "ab", "b", "b/a"]
        await _all(self.store.put(self.key(name), b"") for name in names)
        for prefix in ("", "a", "a/", "a/b", "a/b/", "ab", "b", "c", "/", "a//", "a/../b", "A", "é"):
            found = await self.names(prefix)
            _equal(found, [name for name in names if name.startswith(prefix)], f"the keys with the prefix {prefix!r}")

    async def test_many_keys_are_listed_in_order(self) -> None:
        """All of them, each once, sorted as Python sorts texts."""
        names = [f"{'ab'[number % 2]}/{number}" for number in range(_MANY)]
        await _all(self.store.put(self.key(name), b"") for name in names)
        _equal(await self.names(), sorted(names), "the keys of many blobs")

    async def test_content_types_are_kept(self) -> None:
        """A store that tells content types tells the last one, or ``None``."""
        await self.store.put(self.key("a"), b"1", content_type="text/plain; charset=utf-8")
        tells = getattr(self.store, "content_type", None)
        if tells is None:
            return
        _equal(await tells(self.key("a")), "text/plain; charset=utf-8", "the content type")
        await self.store.put(self.key("a"), b"1")
        _equal(await tells(self.key("a")), None, "the content type after a put without one")

    async def test_one_key_has_one_writers_bytes(self) -> None:
        """However many write a key at once, readers see one of them whole; the last one stays."""
        key = self.key("contested")
        pieces = [bytes([number]) * 50_000 for number in range(16)]
        await self.store.put(key, pieces[0])

        async def read() -> None:
            for _ in range(8):
                _check(await self.store.get(key) in pieces, "a reader saw a mixture of two writers' bytes")

        await asyncio.gather(*(self.store.put(key, piece) for piece in pieces), read(), read())
        _check(await self.store.get(key) in pieces, "what stayed is a mixture of two writers' bytes")

    async def test_listing_while_others_write(self) -> None:
        """What is there all the while is listed once, whatever comes and goes."""
        steady = [f"steady/{number}" for number in range(20)]
        await _all(self.store.put(self.key(name), b"") for name in steady)

        async def disturb(worker: int) -> None:
            for number in range(10):
                passing = self.key(f"passing/{worker}/{number}")
                await self.store.put(passing, b"")
                await self.store.put(self.key(steady[number]), b"again")
                await self.store.delete(passing)

        work = asyncio.gather(*map(disturb, range(4)))
        while not work.done():
            listed = await self.names()
            _equal(
                [name for name in listed if name in steady], sorted(steady), "the keys that were there all the while"
            )
            _check(listed == sorted(set(listed)), "a key was listed twice, or out of order")
            await asyncio.sleep(0)  # a store in memory may never wait for anything
        await work
        _equal(await self.names(), sorted(steady), "the keys at the end")

    async def test_threads_with_event_loops_of_their_own(self) -> None:
        """One store serves several threads at once, each with its event loop."""
        failures: list[BaseException] = []

        def work(worker: int) -> None:
            async def steps() -> None:
                for number in range(10):
                    key = self.key(f"{worker}/{number}")
                    await self.store.put(key, key.encode())
                    _equal(await self.store.get(key), key.encode(), "what another thread got")
                _equal(len(await self.names(f"{worker}/")), 10, "the number of keys that a thread put")

            try:
                asyncio.run(steps())
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        for failure in failures:
            raise failure
        _equal(len(await self.names()), 40, "the number of keys that four threads put")

    async def test_it_is_a_dictionary(self) -> None:
        """Whatever is done to it, one thing after another, it answers like a dictionary."""
        chance, model = random.Random(20), dict[str, bytes]()
        names = ["a", "b", "a/a", "a/b", "b/a/b", "ab", "ab/é"]
        for _ in range(120):
            name = chance.choice(names)
            match chance.choice(["put", "put", "get", "delete", "list"]):
                case "put":
                    model[name] = chance.randbytes(chance.randrange(64))
                    await self.store.put(self.key(name), model[name])
                case "delete":
                    model.pop(name, None)
                    await self.store.delete(self.key(name))
                case "list":
                    prefix = chance.choice(["", "a", "a/", "ab", "b/a"])
                    found = await self.names(prefix)
                    _equal(found, sorted(key for key in model if key.startswith(prefix)), f"the keys below {prefix!r}")
                case _ if await self.store.exists(self.key(name)):
                    _equal(await self.store.get(self.key(name)), model.get(name), f"the blob under {name!r}")
                case _:
                    _check(name not in model, f"exists() denies {name!r}, which was put")

    async def test_another_one_sees_the_same(self) -> None:
        """A store that outlives the object finds what was put; one that does not begins empty."""
        await self.store.put(self.key("a"), b"1")
        async with _opened(self.make) as other:
            if other is not self.store and await other.exists(self.key("a")):
                await other.put(self.key("b"), b"2")
                _equal(await self.names(), ["a", "b"], "the keys after another store put one")
                _equal(await self.store.get(self.key("b")), b"2", "what another store put")

    async def test_closing_twice_does_no_harm(self) -> None:
        """Resources are closed at the end, by whoever comes by."""
        async with _opened(self.make) as other:
            if other is not self.store:
                await _close(other)
                await _close(other)


def _check(truth: object, message: str) -> None:
    if not truth:
        raise AssertionError(message)


def _equal(found: object, expected: object, what: str) -> None:
    if found == expected:
        return
    if isinstance(found, list) and isinstance(expected, list):
        if sorted(found) == sorted(expected):
            raise AssertionError(f"{what} are not sorted: found {_short(found)}, expected {_short(expected)}")
        lost, added = [key for key in expected if key not in found], [key for key in found if key not in expected]
        told = [f"{len(keys)} {how}, {_short(keys)}" for how, keys in (("missing", lost), ("too many", added)) if keys]
        raise AssertionError(f"{what}: {'; '.join(told) or f'some are listed twice, {_short(found)}'}")
    raise AssertionError(f"{what}: found {_short(found)}, expected {_short(expected)}")


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
