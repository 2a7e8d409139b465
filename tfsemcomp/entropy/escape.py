"""How a symbol outside its table is coded: an Elias gamma code from table symbols.

tensorflow-compression's own escape is not used. Measured with version 2.14.1: its
decoder never returns from the one-byte stream 80 under an even two-symbol table, since
it counts zero bits for as long as the exhausted stream yields them, and its encoder
never returns from an overshoot of 2**30. Here an escape is a class and four groups of
bits, all of them symbols of tables, so the work is bounded by the declared number of
symbols, every int32 can be coded, and the cost is the same.

An overshoot of g >= 1 beyond the lower end (`below`) or the upper end of the table has
the class k = floor(log2 g) of 0 to 31 and the k + 1 bits 2 * (g - 2**k) + below, taken
eight at a time from the least significant on: the groups. BITSTREAM.md is normative.
"""

import numpy as np

CLASSES = 32
GROUPS = 4
GROUP_BITS = 8
# Positions of the escape's tables after those of the caller.
CLASS_TABLE = 0
BITS_TABLE = 1


def rows(precision: int) -> np.ndarray:
    """The escape's tables: first the classes, then 0 to 8 even bits.

    The frequency of class k is 2**(precision - 1 - k), at least 1, and class 0 takes
    what is left, so that a class costs about k + 1 bits. The table of 0 bits has one
    symbol, which costs nothing and fills gaps.

    Args:
        precision: 8 to 16.
    Returns: int32 lookup of 10 tables.
    """
    total = 1 << precision
    classes = np.maximum(total >> np.arange(1, CLASSES + 1), 1)
    classes[0] += total - classes.sum()
    tables = [np.cumsum(classes)]
    tables += [
        np.arange(1, (1 << bits) + 1) << (precision - bits)
        for bits in range(GROUP_BITS + 1)
    ]
    return np.concatenate([[precision, 0, *table] for table in tables]).astype(np.int32)


def group_bits(classes: np.ndarray) -> np.ndarray:
    """How many bits each group has: int64 [m] classes -> int64 [m,4], 0 to 8."""
    left = classes[:, None] + 1 - GROUP_BITS * np.arange(GROUPS)
    return np.clip(left, 0, GROUP_BITS)


def split(overshoot: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts overshoots into coded parts.

    Args:
        overshoot: int64 [m], 1 to 2**32 - 1.
        below: bool [m].
    Returns: classes int64 [m], 0 to 31, and groups int64 [m,4], 0 to 255.
    """
    # The exponent of a float64 is exact: integers below 2**53 are not rounded.
    classes = np.frexp(overshoot.astype(np.float64))[1].astype(np.int64) - 1
    bits = 2 * (overshoot - (np.int64(1) << classes)) + below
    shifts = GROUP_BITS * np.arange(GROUPS)
    return classes, bits[:, None] >> shifts & ((1 << GROUP_BITS) - 1)


def join(classes: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `split`: int64 [m] and [m,4] -> overshoot [m] and below [m]."""
    bits = (groups << GROUP_BITS * np.arange(GROUPS)).sum(axis=1)
    return (np.int64(1) << classes) + (bits >> 1), bits % 2 == 1
