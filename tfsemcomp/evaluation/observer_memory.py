"""Remembers what an observer made of originals, which come back at every setting."""

import collections
import hashlib
from collections.abc import Hashable

import numpy as np


class Memory:
    """Results by picture, the least recently used forgotten first.

    Args:
        limit: bytes of results that are kept.
    """

    def __init__(self, limit: int = 2**28) -> None:
        self._limit = limit
        self._held = 0
        self._results: collections.OrderedDict[Hashable, np.ndarray] = (
            collections.OrderedDict()
        )

    def get(self, key: Hashable) -> np.ndarray | None:
        """The result kept under `key`; None if it is not there."""
        if key in self._results:
            self._results.move_to_end(key)
        return self._results.get(key)

    def put(self, key: Hashable, result: np.ndarray) -> None:
        """Keeps a result, and forgets others if they exceed the limit."""
        self._held += result.nbytes
        replaced = self._results.pop(key, None)
        if replaced is not None:
            self._held -= replaced.nbytes
        self._results[key] = result
        while self._held > self._limit and len(self._results) > 1:
            _, old = self._results.popitem(last=False)
            self._held -= old.nbytes


def key_of(pixels: np.ndarray) -> bytes:
    """A key that two pictures share only if all their pixels are equal.

    Args:
        pixels: uint8 [H,W,3].
    """
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels))
    return digest.digest()
