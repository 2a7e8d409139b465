"""The constant tables of the context-mixing coder, kept as data.

A probability that another machine rounds differently would cost the rest of a stream,
so that no logarithm is ever taken at run time: the values were computed once, with 40
decimal digits, and are compared with their checksum when they are loaded.
`docs/BITSTREAM.md`, "Planes", has the formulas.
"""

import dataclasses
import functools
import pathlib
import zlib

import numpy as np

from tfsemcomp.errors import ModelMismatchError

FILE_NAME = "context_mixing.npz"
STRETCH_CRC, SQUASH_CRC = 0x2BBE45F4, 0x980CE5B2


@dataclasses.dataclass(frozen=True, eq=False)
class Tables:
    """The tables, as the kernels take them.

    Attributes:
        stretch: int64 [4096], 256 ln(q / (1 - q)) of the probability q = (j + 1/2) /
            4096, rounded.
        squash: int64 [6144], 65536 / (1 + exp(-d / 256)) of d = -3072..3071, rounded
            and at least 2 and at most 65534.
    """

    stretch: np.ndarray
    squash: np.ndarray


@functools.cache
def load() -> Tables:
    """Reads the tables of the package.

    Raises: ModelMismatchError if they are missing or damaged.
    """
    path = pathlib.Path(__file__).with_name(FILE_NAME)
    try:
        with np.load(path, allow_pickle=False) as archive:
            stretch, squash = archive["stretch"], archive["squash"]
    except (OSError, KeyError, ValueError) as error:
        raise ModelMismatchError(
            f"{path}: cannot be read ({error}); install tfsemcomp again."
        ) from error
    found = (checksum(stretch, "<i2"), checksum(squash, "<u2"))
    if found != (STRETCH_CRC, SQUASH_CRC):
        raise ModelMismatchError(
            f"{path}: does not match its checksum; install tfsemcomp again."
        )
    return Tables(stretch.astype(np.int64), squash.astype(np.int64))


def checksum(table: np.ndarray, dtype: str) -> int:
    """CRC-32 of the values in little-endian order."""
    return zlib.crc32(table.astype(dtype).tobytes())


def visit_rates(tenths: int, visits: int) -> np.ndarray:
    """How far a counter moves at each number of visits n: 65536 / (n + tenths / 10).

    Args:
        tenths: what is added to n, in tenths.
        visits: the greatest n.

    Returns: int64 [visits + 1], rounded; exact, as all is whole numbers.
    """
    parts = 10 * np.arange(visits + 1, dtype=np.int64) + tenths
    return (2 * 655360 + parts) // (2 * parts)
