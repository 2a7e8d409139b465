"""How well a map finds what people look at: AUC, NSS and CC.

The reference is a density of fixations (a map of them, blurred), so that each pixel
counts as a fixated one in proportion to its density.
"""

import numpy as np


def auc(roi: np.ndarray, density: np.ndarray) -> float:
    """Chance that a fixated pixel has a higher map value than any pixel; ties half.

    Args:
        roi: float [H,W], the map.
        density: float [H,W], >= 0, not all zero.
    Returns: in [0, 1]; 0.5 for a constant map.
    Raises:
        ValueError: if shapes differ or the density is empty.
    Source: area under the ROC curve as in Judd, Ehinger, Durand and Torralba, ICCV
        2009, with fixations weighted by density.
    """
    weight = _weights(roi, density)
    values, position = np.unique(roi, return_inverse=True)
    position = position.ravel()
    everywhere = np.bincount(position, minlength=len(values)) / roi.size
    below = np.cumsum(everywhere) - everywhere / 2
    fixated = np.bincount(position, weights=weight.ravel(), minlength=len(values))
    return float(fixated @ below)


def nss(roi: np.ndarray, density: np.ndarray) -> float:
    """Mean of the standardised map over fixated pixels.

    Args:
        roi: float [H,W], the map.
        density: float [H,W], >= 0, not all zero.
    Returns: 0 for chance and for a constant map; unbounded.
    Raises:
        ValueError: if shapes differ or the density is empty.
    Source: Peters, Iyer, Itti and Koch, Vision Research 2005.
    """
    weight = _weights(roi, density)
    return float((_standardise(roi) * weight).sum())


def cc(roi: np.ndarray, density: np.ndarray) -> float:
    """Pearson's correlation of map and density.

    Args:
        roi: float [H,W], the map.
        density: float [H,W], >= 0, not all zero.
    Returns: in [-1, 1]; 0 for a constant map.
    Raises:
        ValueError: if shapes differ or the density is empty.
    """
    weight = _weights(roi, density)
    return float((_standardise(roi) * _standardise(weight)).mean())


def _standardise(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    deviation = values.std()
    if deviation < 1e-12:
        return np.zeros_like(values)
    return (values - values.mean()) / deviation


def _weights(roi: np.ndarray, density: np.ndarray) -> np.ndarray:
    if roi.shape != density.shape or roi.ndim != 2:
        raise ValueError(
            f"`roi` and `density` must be [H,W] alike; got {list(roi.shape)} and "
            f"{list(density.shape)}."
        )
    density = density.astype(np.float64)
    if density.min() < 0 or density.sum() <= 0:
        raise ValueError("`density` must be >= 0 and not all zero.")
    return density / density.sum()
