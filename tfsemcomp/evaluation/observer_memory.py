"""Remembers what an observer made of originals, which come back at every setting."""

import collections
import hashlib
from collections.abc import Callable, Sequence

import numpy as np

# Bytes of results that an observer keeps.
_LIMIT = 2**28


class Memory:
    """Results by picture, the least recently used forgotten first.

    Args:
        run: from pictures, uint8 [H,W,3] each, to one result for each.
        limit: bytes of results that are kept.
    """

    def __init__(
        self,
        run: Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]],
        limit: int = _LIMIT,
    ) -> None:
        self._run = run
        self._limit = limit
        self._held = 0
        self._results: collections.OrderedDict[bytes, np.ndarray] = (
            collections.OrderedDict()
        )

    def compare(
        self, originals: Sequence[np.ndarray], decoded: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Results of originals and of decoded pictures, from a single run.

        Args:
            originals: uint8 [H,W,3] each; only those not remembered are run.
            decoded: uint8 [H,W,3] each; those equal to an original are not run.

        Returns:
            A result for each original, and one for each decoded picture.
        """
        before = [_key(original) for original in originals]
        after = [_key(picture) for picture in decoded]
        known = {key: self._results[key] for key in before if key in self._results}
        pictures = zip([*before, *after], [*originals, *decoded], strict=True)
        unseen = {key: picture for key, picture in pictures if key not in known}
        if unseen:
            known |= zip(unseen, self._run([*unseen.values()]), strict=True)
        for key in before:
            self._keep(key, known[key])
        return [known[key] for key in before], [known[key] for key in after]

    def _keep(self, key: bytes, result: np.ndarray) -> None:
        if key not in self._results:
            self._results[key] = result
            self._held += result.nbytes
        self._results.move_to_end(key)
        while self._held > self._limit:
            _, forgotten = self._results.popitem(last=False)
            self._held -= forgotten.nbytes


def _key(pixels: np.ndarray) -> bytes:
    """Two pictures share it only if all their pixels are equal."""
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels))
    return digest.digest()
