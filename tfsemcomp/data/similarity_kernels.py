"""Comparing all pictures with all, compiled.

Numba is imported with this module, so import it inside functions only.
"""

import numpy as np

from tfsemcomp import jit


def near_pairs(
    hashes_a: np.ndarray,
    thumbnails_a: np.ndarray,
    hashes_b: np.ndarray,
    thumbnails_b: np.ndarray,
    max_bits: int,
    max_difference: float,
) -> list[tuple[int, int, int]]:
    """Pairs whose hashes and thumbnails are near each other.

    Args:
        hashes_a, hashes_b: uint64 [n], [m].
        thumbnails_a, thumbnails_b: uint8 [n,k], [m,k].
        max_bits: of the hashes that may differ.
        max_difference: mean one of the thumbnails.

    Returns: place in the first set, place in the second, differing bits.
    """
    limit = int(max_difference * thumbnails_a.shape[1])
    pairs = _near_pairs(hashes_a, thumbnails_a, hashes_b, thumbnails_b, max_bits, limit)
    return [(int(i), int(j), int(bits)) for i, j, bits in pairs]


@jit.jit()
def _near_pairs(hashes_a, thumbnails_a, hashes_b, thumbnails_b, max_bits, limit):
    found = [(0, 0, 0) for _ in range(0)]
    for i in range(hashes_a.size):
        for j in range(hashes_b.size):
            bits = _count(hashes_a[i] ^ hashes_b[j])
            if bits > max_bits:
                continue
            total = 0
            for k in range(thumbnails_a.shape[1]):
                total += abs(
                    np.int64(thumbnails_a[i, k]) - np.int64(thumbnails_b[j, k])
                )
            if total <= limit:
                found.append((i, j, bits))
    return found


@jit.jit()
def _count(value):
    """Set bits of a uint64, summed in pairs, in fours, and in bytes."""
    value -= value >> np.uint64(1) & np.uint64(0x5555555555555555)
    twos = np.uint64(0x3333333333333333)
    value = (value & twos) + (value >> np.uint64(2) & twos)
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64(value * np.uint64(0x0101010101010101) >> np.uint64(56))
