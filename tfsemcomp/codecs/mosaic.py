"""The MSROI paper's way to compose a JPEG: pixels of several qualities, mixed by a map.

    pixels --JPEG at several qualities--> decoded --pick per pixel by the map--> mosaic
    mosaic --JPEG at one quality--> file

The last encoding quantises everything once more with one table, so little of what the
picking gave is left; see docs. `msroi_allocator` does better at the same size. This is
kept for comparison with the published results, without their faults: all in memory, no
fixed names, no shell, whole search range, an error where the target is out of reach.

Source: arXiv 1612.08712 and its published code. `mode` 1 to 6 and the rules behind are
the code's; `levels` is the paper's rule on 8x8 blocks.
"""

from __future__ import annotations

import numpy as np

from tfsemcomp.codecs import jpeg_coefficients

MODES: dict[int, str] = {
    1: "binary",
    2: "linear",
    3: "decile",
    4: "four_level",
    5: "strong",
    6: "gentle",
}
DEFAULT_MODE = 3
FOUR_QUALITIES = (100, 85, 65, 45)
# The paper's levels: this many of equal height between these qualities.
_LEVELS = 5
_LOWEST_LEVEL, _HIGHEST_LEVEL = 30, 70


def resolve_mode(mode: int | str) -> int:
    """Turns a mode's number, as int or text, or name into its number.

    Raises: ValueError for anything else.
    """
    text = str(mode)
    for number, name in MODES.items():
        if text in (str(number), name) and not isinstance(mode, bool):
            return number
    names = ", ".join(f"{number} ({name})" for number, name in MODES.items())
    raise ValueError(f"`mode` must be one of {names}, received {mode!r}")


def mode_qualities(roi_map: np.ndarray, mode: int | str) -> np.ndarray:
    """The quality that each pixel is taken from, by one of the code's six rules.

    | mode | name       | quality                                             |
    |------|------------|-----------------------------------------------------|
    | 1    | binary     | 100 above the map's mean, else 70                   |
    | 2    | linear     | 30 to 100 in steps of a tenth of the map's maximum  |
    | 3    | decile     | 20 to 100 by decile of rank, the top two alike      |
    | 4    | four_level | 50, 70, 90, 100, parted at the 20th, 60th and 90th  |
    |      |            | percentile                                          |
    | 5    | strong     | 30 below the median, else 90                        |
    | 6    | gentle     | 80 below the median, else 100                       |

    Args:
        roi_map: float [H,W] in [0, 1].
        mode: number or name.

    Returns: uint8 [H,W].
    Raises: ValueError for an unknown mode.
    """
    mode = resolve_mode(mode)
    values = np.asarray(roi_map, np.float64)
    if mode == 1:
        chosen = np.where(values > values.mean(), 100, 70)
    elif mode == 2:
        peak = values.max() or 1.0
        chosen = 10 * np.minimum(np.floor(10 * values / peak) + 3, 10)
    elif mode == 3:
        # Equal values share their lowest rank: an even map is one quality.
        ordered = np.sort(values, axis=None)
        rank = np.searchsorted(ordered, values, side="left") / values.size
        chosen = 10 * np.minimum(np.floor(10 * rank) + 2, 10)
    elif mode == 4:
        edges = np.percentile(values, (20, 60, 90))
        chosen = np.array([50, 70, 90, 100])[np.searchsorted(edges, values, "right")]
    else:
        low, high = {5: (30, 90), 6: (80, 100)}[mode]
        chosen = np.where(values < np.percentile(values, 50), low, high)
    return chosen.astype(np.uint8)


def level_qualities(roi_map: np.ndarray) -> np.ndarray:
    """The quality that each pixel is taken from, by the paper's rule on 8x8 blocks.

    Q_n = Q_l + n (Q_h - Q_l) / k, n = 1..k the level of the block's mean among k equal
    ones. k = 5, Q_l = 30 and Q_h = 70 are our choice within what the paper names.

    Args:
        roi_map: float [H,W] in [0, 1].

    Returns: uint8 [H,W].
    """
    height, width = roi_map.shape
    padded = np.pad(roi_map, ((0, -height % 8), (0, -width % 8)), mode="edge")
    rows, columns = padded.shape[0] // 8, padded.shape[1] // 8
    means = padded.reshape(rows, 8, columns, 8).mean(axis=(1, 3), dtype=np.float64)
    level = np.clip(np.ceil(means * _LEVELS), 1, _LEVELS)
    chosen = _LOWEST_LEVEL + level * (_HIGHEST_LEVEL - _LOWEST_LEVEL) / _LEVELS
    whole = np.rint(chosen).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    return whole[:height, :width]


def mix(pixels: np.ndarray, qualities: np.ndarray, subsampling: str) -> np.ndarray:
    """Puts an image together from its own decoded JPEGs.

    Args:
        pixels: uint8 [H,W,3].
        qualities: uint8 [H,W], the JPEG that each pixel is taken from.
        subsampling: of those JPEGs, one of `jpeg_coefficients.SUBSAMPLINGS`.

    Returns: uint8 [H,W,3].
    """
    used, index = np.unique(qualities, return_inverse=True)
    ladder = np.stack(
        [
            jpeg_coefficients.decode(
                jpeg_coefficients.plain(pixels, int(quality), subsampling)
            )
            for quality in used
        ]
    )
    picks = index.reshape(1, *qualities.shape, 1)
    return np.take_along_axis(ladder, picks, axis=0)[0]


def four_qualities(
    pixels: np.ndarray,
    roi_map: np.ndarray,
    *,
    mode: int | str = DEFAULT_MODE,
    subsampling: str = "4:2:0",
) -> dict[int, bytes]:
    """What the code gives without a search for the best quality: four files.

    Args:
        pixels: uint8 [H,W,3], RGB.
        roi_map: float [H,W] in [0, 1].
        mode: number or name of the mixing rule.
        subsampling: one of `jpeg_coefficients.SUBSAMPLINGS`.

    Returns: the mosaic's JPEG file at each of `FOUR_QUALITIES`.
    Raises: ValueError for an unknown mode.
    """
    mosaic = mix(pixels, mode_qualities(roi_map, mode), subsampling)
    return {
        quality: jpeg_coefficients.plain(mosaic, quality, subsampling)
        for quality in FOUR_QUALITIES
    }
