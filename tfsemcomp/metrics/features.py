"""Distances between a network's features, in the styles of LPIPS and DISTS.

Both lack what the published metrics learned from people's judgements, so their values
do not compare with published ones; nor do values from two backbones.

Sources: Zhang, Isola, Efros, Shechtman, Wang, "The unreasonable effectiveness of deep
features as a perceptual metric", CVPR 2018 (LPIPS); Ding, Ma, Wang, Simoncelli, "Image
quality assessment: unifying structure and texture similarity", IEEE TPAMI 2022 (DISTS).
"""

from collections.abc import Iterator

import numpy as np

from tfsemcomp.metrics import inputs
from tfsemcomp.metrics.backbones import SHORTEST_SIDE, Backbone

# Keeps a position without any activity at zero instead of dividing by it.
_TINY = 1e-10
# Values of a stage that are taken to double precision at once.
_STRIP = 2**19
# DISTS's constants, for pixels in [0, 1].
_C1 = 1e-6
_C2 = 1e-6


def _stages(
    reference: np.ndarray, image: np.ndarray, backbone: Backbone
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each stage of both pictures, float32 [h,w,C]."""
    for stage in backbone.features(np.stack([reference, image])):
        yield stage[0], stage[1]


def _strips(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cuts a stage into float64 strips of rows: whole ones would take much memory."""
    rows = max(1, _STRIP // x[0].size)
    for start in range(0, len(x), rows):
        yield tuple(plane[start : start + rows].astype(np.float64) for plane in (x, y))


def _unit(features: np.ndarray) -> np.ndarray:
    """Divides the channels of each position by their Euclidean norm."""
    norm = np.sqrt(np.einsum("hwc,hwc->hw", features, features))
    return features / (norm + _TINY)[..., None]


def _distance_map(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distance of the unit vectors at each position, float64 [h,w]."""
    strips = []
    for a, b in _strips(x, y):
        difference = _unit(a) - _unit(b)
        strips.append(np.einsum("hwc,hwc->hw", difference, difference))
    return np.concatenate(strips)


def feature_lpips(
    reference: np.ndarray, image: np.ndarray, backbone: Backbone
) -> float:
    """Feature distance in the style of LPIPS.

    At each stage the channels of a position are scaled to unit length; the squared
    difference is summed over channels and averaged over positions; then the mean of
    the stages. LPIPS's learned channel weights are not used (its "uncalibrated" form,
    which sums the stages).

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        backbone: whose features count.

    Returns:
        Unitless, in [0, 2]; 0 for equal pictures, lower is better.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    inputs.check_pair(reference, image)
    stages = _stages(reference, image, backbone)
    return float(np.mean([_distance_map(x, y).mean() for x, y in stages]))


def weighted_feature_lpips(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray, backbone: Backbone
) -> float:
    """`feature_lpips`, each position weighted by the mean weight of its pixels.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        weights: float [H,W] in [0, 1]; all 0 counts as all equal. At each stage the
            map is averaged over the h x w equal parts of the picture.
        backbone: whose features count.

    Returns:
        Unitless, in [0, 2]; 0 for equal pictures, lower is better.

    Raises:
        ValueError: inputs of another type, size or range.
    """
    inputs.check_pair(reference, image)
    weights = inputs.check_weights(weights, reference.shape[:2], "weights")
    weights = inputs.extend(weights, SHORTEST_SIDE, SHORTEST_SIDE)
    values = []
    for x, y in _stages(reference, image, backbone):
        parts = inputs.area_means(weights, x.shape[0], x.shape[1])
        values.append(inputs.weighted_mean(_distance_map(x, y), parts))
    return float(np.mean(values))


def _similarity(x: np.ndarray, y: np.ndarray) -> float:
    """Texture and structure similarity of one stage, the mean over both."""
    positions = x.shape[0] * x.shape[1]
    mean_x, mean_y = (p.mean(axis=(0, 1), dtype=np.float64) for p in (x, y))
    variances, covariance = np.zeros_like(mean_x), np.zeros_like(mean_x)
    for a, b in _strips(x, y):
        a, b = a - mean_x, b - mean_y
        variances += np.einsum("hwc,hwc->c", a, a) + np.einsum("hwc,hwc->c", b, b)
        covariance += np.einsum("hwc,hwc->c", a, b)
    variances, covariance = variances / positions, covariance / positions
    texture = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (variances + _C2)
    return float((texture.mean() + structure.mean()) / 2)


def feature_dists(
    reference: np.ndarray, image: np.ndarray, backbone: Backbone
) -> float:
    """Feature distance in the style of DISTS.

    1 - the mean over the stages, the pixels in [0, 1] being the first, of the mean
    over channels of (texture + structure) / 2: texture compares the means of a channel
    over positions, (2 mx my + c) / (mx^2 + my^2 + c), structure the covariance,
    (2 cov + c) / (vx + vy + c), c = 1e-6. DISTS learns a weight for each channel and
    term, here all weigh the same; it resizes pictures to a short side of 256 px and
    smooths before it subsamples, which this does not.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        backbone: whose features count.

    Returns:
        Unitless, in [0, 1.5]; 0 for equal pictures, lower is better.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    inputs.check_pair(reference, image)
    values = [_similarity(reference / inputs.PEAK, image / inputs.PEAK)]
    values += [_similarity(x, y) for x, y in _stages(reference, image, backbone)]
    return float(1.0 - np.mean(values))
