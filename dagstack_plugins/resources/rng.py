"""The resource ``rng``: the operating system's randomness, and a stream that can be repeated.

Both draw bytes and make values of them in the same way: what a plugin meets in tests is what it meets in production.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar

from dagstack_plugins.wording import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class _RngOfBytes(ABC):
    """Makes values of random bytes."""

    @abstractmethod
    def _draw(self, size: int) -> bytes:
        """The next ``size`` random bytes."""

    def next_float(self) -> float:
        """A number in [0.0, 1.0), one of 2**53 that lie equally far apart."""
        return (int.from_bytes(self._draw(8), "big") >> 11) * 2.0**-53

    def next_int(self, low: int, high: int) -> int:
        """A number in [low, high], each equally likely.

        Args:
            low: the smallest that may come.
            high: the largest that may come.

        Raises:
            ValueError: ``low`` lies above ``high``.
        """
        count = index(high) - index(low) + 1
        if count < 1:
            raise ValueError(f"next_int({low}, {high}) has nothing to draw from: low must not lie above high")
        bits = (count - 1).bit_length()
        size = (bits + 7) // 8
        # Draws beyond the range are thrown away; folding them back into it would favour some numbers.
        while (drawn := int.from_bytes(self._draw(size), "big") >> (8 * size - bits)) >= count:
            pass
        return low + drawn

    def uuid4(self) -> str:
        """A UUID of version 4."""
        import uuid  # imported here, as are others below: most hosts do without, and this module is always loaded

        return str(uuid.UUID(bytes=self._draw(16), version=4))

    def choice(self, items: Sequence[T]) -> T:
        """One of the items, each equally likely.

        Args:
            items: what to choose from.

        Raises:
            IndexError: there are none.
        """
        if not len(items):
            raise IndexError("choice() was given nothing to choose from: check that the list has items first")
        return items[self.next_int(0, len(items) - 1)]


class RandomRng(_RngOfBytes):
    """The operating system's randomness, fit for secrets.

    .. versionadded:: 0.1
    """

    def _draw(self, size: int) -> bytes:
        return os.urandom(size)

    def __repr__(self) -> str:
        return "RandomRng()"


class DeterministicRng(_RngOfBytes):
    """The same values for the same seed, on every platform and with every version of Python.

    The stream is SHA-256 of the seed and a counter. Python's own generator promises to repeat only ``random()``; how
    ``randint`` and ``choice`` are derived has changed before and may again, and tests that pin results must outlive
    that. Several threads may draw at once; which of them gets which value is then up to the scheduler.

    Examples:
        >>> DeterministicRng(seed=7).next_int(1, 6) == DeterministicRng(seed=7).next_int(1, 6)
        True

    Args:
        seed: any number or text; ``1`` and ``"1"`` are two seeds.

    Raises:
        TypeError: the seed is neither.

    .. versionadded:: 0.1
    """

    def __init__(self, *, seed: int | str) -> None:
        if not isinstance(seed, int | str):
            raise TypeError(f"a seed is an int or a str, got {type(seed).__name__}: write DeterministicRng(seed=42)")
        self._seed = seed
        # Hexadecimal, as Python refuses to write very long numbers in decimal.
        told = f"str:{seed}" if isinstance(seed, str) else f"int:{seed:x}"
        from hashlib import sha256

        self._hash = sha256
        self._key = sha256(told.encode("utf-8", "surrogatepass")).digest()
        self._blocks = 0
        self._spare = b""
        self._lock = threading.Lock()

    def _draw(self, size: int) -> bytes:
        with self._lock:
            while len(self._spare) < size:
                self._spare += self._hash(self._key + self._blocks.to_bytes(8, "big")).digest()
                self._blocks += 1
            drawn, self._spare = self._spare[:size], self._spare[size:]
        return drawn

    def for_worker(self, worker: str) -> DeterministicRng:
        """A stream of its own for each worker process: the same for the same seed and worker, and no other's.

        Args:
            worker: the worker's name.
        """
        return DeterministicRng(seed=f"{self._key.hex()} for {worker}")

    def __getstate__(self) -> tuple[Any, ...]:
        with self._lock:
            return self._seed, self._blocks, self._spare

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        seed, blocks, spare = state
        DeterministicRng.__init__(self, seed=seed)
        self._blocks, self._spare = blocks, spare

    def __repr__(self) -> str:
        return f"DeterministicRng(seed={shown(self._seed)})"
