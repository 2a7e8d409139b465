"""Structural similarity: SSIM and MS-SSIM, on RGB and on luma, and weighted SSIM.

Window: 11-tap Gaussian of sigma 1.5 where it fits whole (no padding), constants
C1 = (0.01 x 255)^2 and C2 = (0.03 x 255)^2, population variances, double precision.
RGB values are the mean of the three channels' values.

Sources: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error
visibility to structural similarity", IEEE TIP 2004; Wang, Simoncelli, Bovik,
"Multiscale structural similarity for image quality assessment", Asilomar 2003.
"""

from collections.abc import Iterator

import numpy as np

from tfsemcomp.metrics import inputs

_WINDOW = inputs.gaussian_taps(11, 1.5)
_REACH = len(_WINDOW) // 2
_C1 = (0.01 * inputs.PEAK) ** 2
_C2 = (0.03 * inputs.PEAK) ** 2
# Exponents of the five scales, finest first, from the paper.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The shortest side whose fifth scale, four halvings on, still holds one window.
_SHORTEST_SIDE = 16 * (len(_WINDOW) - 1) + 1


def _channels(
    reference: np.ndarray, image: np.ndarray, shortest: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The colour planes of both pictures as float64, extended to `shortest`."""
    for channel in range(reference.shape[2]):
        yield tuple(
            inputs.extend(pixels[..., channel], shortest, shortest).astype(np.float64)
            for pixels in (reference, image)
        )


def _luma_planes(
    reference: np.ndarray, image: np.ndarray, shortest: int
) -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        inputs.extend(inputs.luma(pixels), shortest, shortest)
        for pixels in (reference, image)
    )


def _similarity(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maps of SSIM and of its contrast-structure factor.

    Only the sum of both variances is needed, so four planes are filtered, not five.
    """
    mean_x = inputs.filter_valid(x, _WINDOW)
    mean_y = inputs.filter_valid(y, _WINDOW)
    product = mean_x * mean_y
    squares = mean_x * mean_x + mean_y * mean_y
    variances = inputs.filter_valid(x * x + y * y, _WINDOW) - squares
    covariance = inputs.filter_valid(x * y, _WINDOW) - product
    structure = (2.0 * covariance + _C2) / (variances + _C2)
    return (2.0 * product + _C1) / (squares + _C1) * structure, structure


def _halve(plane: np.ndarray) -> np.ndarray:
    """Means of 2x2 samples; an odd last row or column is mirrored."""
    height, width = plane.shape
    even = inputs.extend(plane, height + height % 2, width + width % 2)
    rows = even[0::2] + even[1::2]
    return 0.25 * (rows[:, 0::2] + rows[:, 1::2])


def _multiscale(x: np.ndarray, y: np.ndarray) -> float:
    value = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        last = scale == len(SCALE_WEIGHTS) - 1
        similarity, structure = _similarity(x, y)
        mean = float((similarity if last else structure).mean())
        # A negative mean has no real power; it counts as no similarity at all.
        value *= max(mean, 0.0) ** weight
        if not last:
            x, y = _halve(x), _halve(y)
    return value


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
    planes = _channels(reference, image, len(_WINDOW))
    return float(np.mean([_similarity(x, y)[0].mean() for x, y in planes]))


def ssim_y(reference: np.ndarray, image: np.ndarray) -> float:
    """SSIM on luma (full-range BT.601, not rounded); otherwise as `ssim`."""
    inputs.check_pair(reference, image)
    x, y = _luma_planes(reference, image, len(_WINDOW))
    return float(_similarity(x, y)[0].mean())


def weighted_ssim(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """SSIM on RGB, each window weighted by the pixel in its centre.

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
    weights = inputs.check_weights(weights, reference.shape[:2], "weights")
    weights = inputs.extend(weights, len(_WINDOW), len(_WINDOW))
    centres = weights[_REACH:-_REACH, _REACH:-_REACH]
    planes = _channels(reference, image, len(_WINDOW))
    values = [inputs.weighted_mean(_similarity(x, y)[0], centres) for x, y in planes]
    return float(np.mean(values))


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
    planes = _channels(reference, image, _SHORTEST_SIDE)
    return float(np.mean([_multiscale(x, y) for x, y in planes]))


def ms_ssim_y(reference: np.ndarray, image: np.ndarray) -> float:
    """MS-SSIM on luma (full-range BT.601, not rounded); otherwise as `ms_ssim`."""
    inputs.check_pair(reference, image)
    return _multiscale(*_luma_planes(reference, image, _SHORTEST_SIDE))
