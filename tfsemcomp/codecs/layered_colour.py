"""A thumbnail of colours, of a few dozen bytes, and pictures that it corrects.

    x --means of 8x8 parts--> YCbCr --16 levels--> v - prediction --range coder-->
    picture + bilinear(thumbnail - means of the picture's parts) --> picture

Each of the three planes is predicted from the samples to the left (a), above (b) and
left of above (c): the middle one of a, b and a + b - c. What is left is small, and its
table is one of eight, which are made of whole numbers, so that they are the same
everywhere. docs/BITSTREAM.md is normative.

Colours are those of ITU-R BT.601 in full range, as in JPEG. The predictor is that of
JPEG-LS (Weinberger, Seroussi, Sapiro 2000).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from tfsemcomp import errors

if TYPE_CHECKING:
    from tfsemcomp.entropy.tables import Tables

SIDE = 8
LEVELS = 16
# Of Y, Cb and Cr: values to a level, and the level that stands for 0. Grey stays grey.
STEPS = np.array([17.0, 16.0, 16.0])
ZEROS = np.array([0, 8, 8])
# What a prediction error has less frequent than the next smaller one, in 16ths.
RATIOS = (1, 2, 4, 6, 8, 10, 12, 14)
_PRECISION = 12
_TABLE_BITS = 3
_TABLE_MASK = 2**_TABLE_BITS - 1
# Y, Cb and Cr of R, G and B; Cb and Cr are 0 in grey.
_TO_YCBCR = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ]
)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])


@functools.cache
def _tables() -> Tables:
    """Two-sided geometric distributions of -15 to 15, one for each ratio."""
    from tfsemcomp.entropy.tables import Tables

    lookup: list[int] = []
    total = 1 << _PRECISION
    errors_ = range(1 - LEVELS, LEVELS)
    for ratio in RATIOS:
        weights = [ratio ** abs(e) * 16 ** (LEVELS - 1 - abs(e)) for e in errors_]
        free = total - len(weights)
        counts = [1 + free * weight // sum(weights) for weight in weights]
        counts[LEVELS - 1] += total - sum(counts)
        lookup += [_PRECISION, 0, *np.cumsum(counts).tolist()]
    offsets = np.full(len(RATIOS), 1 - LEVELS, np.int32)
    return Tables(np.int32(lookup), offsets)


def encode(image: np.ndarray) -> bytes:
    """Makes the payload of a `colour` chunk.

    Args:
        image: uint8 [H,W,3].
    """
    from tfsemcomp.entropy import range_coder

    levels = np.rint(_shrink(image) @ _TO_YCBCR.T / STEPS).astype(np.int32) + ZEROS
    levels = np.clip(levels, 0, LEVELS - 1)
    residuals = np.zeros_like(levels, np.int32)
    for place in np.ndindex(levels.shape):
        residuals[place] = levels[place] - _predict(levels, *place)
    chosen = [_best_table(residuals[..., :1]), _best_table(residuals[..., 1:])]
    (coded,) = range_coder.encode(
        _tables(), residuals.reshape(1, -1), _indexes(*chosen)
    )
    return bytes([chosen[0] | chosen[1] << _TABLE_BITS]) + coded


def decode(payload: bytes) -> np.ndarray:
    """The thumbnail of a payload: float64 [8,8,3], RGB, about 0 to 255.

    Raises: BitstreamError if the payload is damaged, as far as can be seen.
    """
    from tfsemcomp.entropy import range_coder

    if not payload or payload[0] >> 2 * _TABLE_BITS:
        raise errors.BitstreamError(
            f"the colours begin with {payload[:1].hex() or 'nothing'}, which is "
            "unknown here; a newer tfsemcomp may be needed"
        )
    chosen = payload[0] & _TABLE_MASK, payload[0] >> _TABLE_BITS
    residuals = range_coder.decode(_tables(), [payload[1:]], _indexes(*chosen))
    residuals = residuals.reshape(SIDE, SIDE, 3)
    levels = np.zeros_like(residuals)
    for place in np.ndindex(levels.shape):
        levels[place] = residuals[place] + _predict(levels, *place)
    if levels.min() < 0 or levels.max() >= LEVELS:
        raise errors.BitstreamError(
            f"the colours have levels from {levels.min()} to {levels.max()}, expected "
            f"0 to {LEVELS - 1}"
        )
    return (levels - ZEROS) * STEPS @ _TO_RGB.T


def correct(picture: np.ndarray, thumbnail: np.ndarray) -> np.ndarray:
    """Gives a picture the colours of a thumbnail and leaves it its details.

    Args:
        picture: float [H,W,3].
        thumbnail: float64 [8,8,3].
    Returns: float32 [H,W,3], not clipped.
    """
    missing = thumbnail - _shrink(picture)
    rows, columns = (_blending(side) for side in picture.shape[:2])
    spread = np.einsum("yi,ijc,xj->yxc", rows, missing, columns)
    return (picture + spread).astype(np.float32)


def _shrink(picture: np.ndarray) -> np.ndarray:
    """Means over 8x8 equal parts: float64 [8,8,3]."""
    from tfsemcomp.metrics import inputs

    planes = np.moveaxis(picture.astype(np.float64), -1, 0)
    return np.stack([inputs.area_means(p, SIDE, SIDE) for p in planes], axis=-1)


def _blending(length: int) -> np.ndarray:
    """Matrix [length,8] that interpolates linearly between the middles of 8 parts."""
    places = np.clip((np.arange(length) + 0.5) * (SIDE / length) - 0.5, 0, SIDE - 1)
    return np.clip(1 - abs(places[:, None] - np.arange(SIDE)), 0, None)


def _predict(levels: np.ndarray, row: int, column: int, plane: int) -> int:
    if row == 0 and column == 0:
        return LEVELS // 2
    if row == 0:
        return int(levels[row, column - 1, plane])
    if column == 0:
        return int(levels[row - 1, column, plane])
    left, above = levels[row, column - 1, plane], levels[row - 1, column, plane]
    corner = levels[row - 1, column - 1, plane]
    return int(np.clip(left + above - corner, min(left, above), max(left, above)))


def _best_table(residuals: np.ndarray) -> int:
    """Number of the table that codes these most shortly."""
    from tfsemcomp.entropy import range_coder

    symbols = np.tile(residuals.reshape(1, -1), (len(RATIOS), 1))
    numbers = np.arange(len(RATIOS), dtype=np.int32)[:, None]
    indexes = np.ascontiguousarray(np.broadcast_to(numbers, symbols.shape))
    bits = range_coder.estimate_bits(_tables(), symbols, indexes)
    return int(np.argmin(bits))


def _indexes(luma: int, chroma: int) -> np.ndarray:
    """Tables of the symbols of a payload: int32 [1,192]."""
    return np.tile(np.int32([luma, chroma, chroma]), SIDE * SIDE)[None]
