"""Structural similarity: SSIM and MS-SSIM, on RGB and on luma, plain and weighted.

Window: 11-tap Gaussian of sigma 1.5 where it fits whole (no padding), constants
C1 = (0.01 x 255)^2 and C2 = (0.03 x 255)^2, population variances, double precision.
RGB values are the mean of the three channels' values.

Sources: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error
visibility to structural similarity", IEEE TIP 2004; Wang, Simoncelli, Bovik,
"Multiscale structural similarity for image quality assessment", Asilomar 2003.
"""

import math
from collections.abc import Sequence

import numpy as np

from tfsemcomp.metrics import inputs

_SIDE = inputs.SSIM_WINDOW.size
_C1 = (0.01 * inputs.PEAK) ** 2
_C2 = (0.03 * inputs.PEAK) ** 2
# Exponents of the five scales, finest first, from the paper.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The shortest side whose fifth scale, four halvings on, still holds one window.
_SHORTEST_SIDE = 16 * (_SIDE - 1) + 1

_Planes = Sequence[tuple[np.ndarray, np.ndarray]]


def _channels(reference: np.ndarray, image: np.ndarray, shortest: int) -> _Planes:
    """The colour planes of both pictures as float64, extended to `shortest`."""
    x, y = (
        np.ascontiguousarray(np.moveaxis(pixels, 2, 0), np.float64)
        for pixels in (reference, image)
    )
    return [
        tuple(inputs.extend(plane, shortest, shortest) for plane in pair)
        for pair in zip(x, y, strict=True)
    ]


def _lumas(reference: np.ndarray, image: np.ndarray, shortest: int) -> _Planes:
    pair = (inputs.luma(pixels) for pixels in (reference, image))
    return [tuple(inputs.extend(plane, shortest, shortest) for plane in pair)]


def _similarity(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maps of SSIM and of its contrast-structure factor."""
    from tfsemcomp.metrics import kernels

    return kernels.similarity(x, y, _C1, _C2)


def _halve(plane: np.ndarray) -> np.ndarray:
    """Means of 2x2 samples; an odd last row or column is mirrored."""
    height, width = plane.shape
    even = inputs.extend(plane, height + height % 2, width + width % 2)
    rows = even[0::2] + even[1::2]
    return 0.25 * (rows[:, 0::2] + rows[:, 1::2])


def _mean(values: np.ndarray, weights: np.ndarray | None) -> float:
    """Mean over windows, each weighted by the mean of the weights under it."""
    if weights is None:
        return float(values.mean())
    under = inputs.filter_valid(weights, inputs.SSIM_WINDOW)
    return inputs.weighted_mean(values, under)


def _single_scale(planes: _Planes, weights: np.ndarray | None = None) -> float:
    return float(np.mean([_mean(_similarity(x, y)[0], weights) for x, y in planes]))


def _multiscale(planes: _Planes, weights: np.ndarray | None = None) -> float:
    return float(np.mean([_multiscale_plane(x, y, weights) for x, y in planes]))


def _multiscale_plane(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray | None
) -> float:
    value = 1.0
    for scale, exponent in enumerate(SCALE_WEIGHTS):
        if scale > 0:
            x, y = _halve(x), _halve(y)
            weights = None if weights is None else _halve(weights)
        similarity, structure = _similarity(x, y)
        last = scale == len(SCALE_WEIGHTS) - 1
        mean = _mean(similarity if last else structure, weights)
        # A negative mean has no real power; it counts as no similarity at all.
        value *= max(mean, 0.0) ** exponent
    return value


def _weights(weights: np.ndarray, shape: tuple[int, ...], shortest: int) -> np.ndarray:
    weights = inputs.check_weights(weights, shape[:2], "weights")
    return inputs.extend(weights, shortest, shortest)


def ssim(reference: np.ndarray, image: np.ndarray) -> float:
    """SSIM on RGB: the mean over positions and channels.

    A side below 11 px is mirrored until it has 11.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.

    Returns:
        Unitless, in [-1, 1]; 1 for equal pictures.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    inputs.check_pair(reference, image)
    return _single_scale(_channels(reference, image, _SIDE))


def ssim_y(reference: np.ndarray, image: np.ndarray) -> float:
    """SSIM on luma (full-range BT.601, not rounded); otherwise as `ssim`."""
    inputs.check_pair(reference, image)
    return _single_scale(_lumas(reference, image, _SIDE))


def weighted_ssim(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """SSIM on RGB, each window weighted by the map's mean under it.

    The window's own Gaussian takes that mean.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        weights: float [H,W] in [0, 1]; all 0 counts as all equal.

    Returns:
        Unitless, in [-1, 1]; 1 for equal pictures.

    Raises:
        ValueError: inputs of another type, size or range.
    """
    inputs.check_pair(reference, image)
    weights = _weights(weights, reference.shape, _SIDE)
    return _single_scale(_channels(reference, image, _SIDE), weights)


def weighted_ssim_y(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """SSIM on luma, weighted as `weighted_ssim`."""
    inputs.check_pair(reference, image)
    weights = _weights(weights, reference.shape, _SIDE)
    return _single_scale(_lumas(reference, image, _SIDE), weights)


def ms_ssim(reference: np.ndarray, image: np.ndarray) -> float:
    """MS-SSIM on RGB over five scales: the mean of the channels' values.

    For each channel the product over the scales of the mean contrast-structure factor
    (at the last scale: of the mean SSIM), each to its exponent; between scales means
    of 2x2 samples. Negative means count as 0.

    A side below 161 px cannot hold the window at the fifth scale: it is mirrored until
    it has 161. All five scales and their exponents stay, but such values should not be
    compared with those of larger pictures.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.

    Returns:
        Unitless, in [0, 1]; 1 for equal pictures.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    inputs.check_pair(reference, image)
    return _multiscale(_channels(reference, image, _SHORTEST_SIDE))


def ms_ssim_y(reference: np.ndarray, image: np.ndarray) -> float:
    """MS-SSIM on luma (full-range BT.601, not rounded); otherwise as `ms_ssim`."""
    inputs.check_pair(reference, image)
    return _multiscale(_lumas(reference, image, _SHORTEST_SIDE))


def to_decibels(similarity: float) -> float:
    """-10 log10(1 - similarity) in dB, which spreads values near 1; inf for 1."""
    if similarity >= 1.0:
        return math.inf
    return -10.0 * math.log10(1.0 - similarity)


def ms_ssim_db(reference: np.ndarray, image: np.ndarray) -> float:
    """`ms_ssim` in decibels, as papers on learned compression plot it.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.

    Returns:
        dB, >= 0: -10 log10(1 - MS-SSIM); inf for equal pictures.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    return to_decibels(ms_ssim(reference, image))


def weighted_ms_ssim(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """MS-SSIM on RGB, weighted at every scale as `weighted_ssim`.

    Between scales the map is halved as the pictures are.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        weights: float [H,W] in [0, 1]; all 0 counts as all equal.

    Returns:
        Unitless, in [0, 1]; 1 for equal pictures.

    Raises:
        ValueError: inputs of another type, size or range.
    """
    inputs.check_pair(reference, image)
    weights = _weights(weights, reference.shape, _SHORTEST_SIDE)
    return _multiscale(_channels(reference, image, _SHORTEST_SIDE), weights)


def weighted_ms_ssim_y(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """MS-SSIM on luma, weighted as `weighted_ms_ssim`."""
    inputs.check_pair(reference, image)
    weights = _weights(weights, reference.shape, _SHORTEST_SIDE)
    return _multiscale(_lumas(reference, image, _SHORTEST_SIDE), weights)
