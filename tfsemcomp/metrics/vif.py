"""Visual information fidelity in the pixel domain (VIFp).

Source: Sheikh and Bovik, "Image information and visual quality", IEEE TIP 2006, in its
multi-scale pixel-domain form: four scales, Gaussian windows of 17, 9, 5 and 3 taps with
sigma = taps / 5, noise variance 2.
"""

import numpy as np

from tfsemcomp.metrics import inputs

_WINDOWS = tuple(inputs.gaussian_taps(taps, taps / 5.0) for taps in (17, 9, 5, 3))
_NOISE = 2.0
# Below this a variance is rounding error.
_TINY = 1e-10
# The shortest side that leaves a whole window at the fourth scale.
_SHORTEST_SIDE = 41


def _information(
    x: np.ndarray, y: np.ndarray, window: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Maps of what the image tells of the reference, and the reference of itself."""
    mean_x = inputs.filter_valid(x, window)
    mean_y = inputs.filter_valid(y, window)
    variance_x = inputs.filter_valid(x * x, window) - mean_x * mean_x
    variance_y = inputs.filter_valid(y * y, window) - mean_y * mean_y
    covariance = inputs.filter_valid(x * y, window) - mean_x * mean_y
    variance_x = np.where(variance_x < _TINY, 0.0, variance_x)
    variance_y = np.maximum(variance_y, 0.0)
    # The image is modelled as gain * reference + residual. Where either is flat, or
    # they move against each other, it tells nothing.
    told = (variance_x > 0.0) & (variance_y >= _TINY) & (covariance > 0.0)
    gain = np.where(told, covariance / (variance_x + _TINY), 0.0)
    residual = np.maximum(variance_y - gain * covariance, _TINY)
    kept = np.log1p(gain * gain * variance_x / (residual + _NOISE))
    return kept, np.log1p(variance_x / _NOISE)


def _sum(values: np.ndarray, weights: np.ndarray | None, window: np.ndarray) -> float:
    """Sum over windows, each weighted by the mean of the weights under it."""
    if weights is None:
        return float(values.sum())
    return float((values * inputs.filter_valid(weights, window)).sum())


def _extend(plane: np.ndarray) -> np.ndarray:
    return inputs.extend(plane, _SHORTEST_SIDE, _SHORTEST_SIDE)


def _shrink(plane: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The plane at the next scale."""
    return inputs.filter_valid(plane, window)[::2, ::2]


def _ratio(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Information kept over information held, under weights of the same size."""
    x, y = _extend(inputs.luma(reference)), _extend(inputs.luma(image))
    changed = x != y
    if weights is not None:
        weights = _extend(weights)
        changed &= weights > 0.0
    # Variances do not change with an offset, and small numbers cancel with less error.
    offset = x.mean()
    x, y = x - offset, y - offset
    kept, held = 0.0, 0.0
    for scale, window in enumerate(_WINDOWS):
        if scale > 0:
            x, y = _shrink(x, window), _shrink(y, window)
            weights = None if weights is None else _shrink(weights, window)
        told, all_there = _information(x, y, window)
        kept += _sum(told, weights, window)
        held += _sum(all_there, weights, window)
    if held == 0.0:
        return float(not changed.any())
    return kept / held


def vifp(reference: np.ndarray, image: np.ndarray) -> float:
    """VIFp on luma (full-range BT.601, not rounded).

    The information that the image keeps of the reference, over what the reference
    holds, each summed over positions and four scales. A side below 41 px is mirrored
    until it has 41. A reference of one flat colour holds none: 1 where the luma is
    unchanged, else 0.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.

    Returns:
        Unitless, >= 0; 1 for equal pictures (to 1e-6), above 1 where contrast was
        raised without noise.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    inputs.check_pair(reference, image)
    return _ratio(reference, image)


def weighted_vifp(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """VIFp on luma, each window's information weighted by the map's mean under it.

    The window's own Gaussian takes that mean. Between scales the map is filtered and
    subsampled as the pictures are. A reference that holds no information under the
    map, as a flat sky: 1 where the luma there is unchanged, else 0.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        weights: float [H,W] in [0, 1]; all 0 counts as all equal.

    Returns:
        Unitless, >= 0; 1 for equal pictures (to 1e-6).

    Raises:
        ValueError: inputs of another type, size or range.
    """
    inputs.check_pair(reference, image)
    weights = inputs.check_weights(weights, reference.shape[:2], "weights")
    if not weights.any():
        weights = np.ones_like(weights)
    return _ratio(reference, image, weights)
