"""Edge F1: whether edges are where they were.

Sources: Canny, "A computational approach to edge detection", IEEE TPAMI 1986; Martin,
Fowlkes, Malik, "Learning to detect natural image boundaries using local brightness,
color, and texture cues", IEEE TPAMI 2004 (precision and recall with a tolerance).
"""

import math

import numpy as np

from tfsemcomp.metrics import inputs

SIGMA = 2.0
# Thresholds of the Sobel gradient's length, for luma in [0, 1].
LOW, HIGH = 0.1, 0.2
TOLERANCE = 1


def smooth(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian filter cut at 4 sigma; beyond the edge the outermost values go on.

    Args:
        plane: float64 [H,W].
        sigma: in px, > 0.

    Returns: float64 [H,W].
    """
    reach = int(4.0 * sigma + 0.5)
    taps = inputs.gaussian_taps(2 * reach + 1, sigma)
    return inputs.filter_valid(np.pad(plane, reach, mode="edge"), taps)


def sobel(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient down and to the right, by the 3x3 masks with weights 1, 2, 1.

    Args:
        plane: [H,W], signed or floating point.

    Returns: two arrays of its shape and type.
    """
    whole = np.pad(plane, 1, mode="edge")
    rows = whole[2:] - whole[:-2]
    columns = whole[:, 2:] - whole[:, :-2]
    down = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    right = columns[:-2] + 2 * columns[1:-1] + columns[2:]
    return down, right


def gradient(pixels: np.ndarray, sigma: float | None) -> tuple[np.ndarray, np.ndarray]:
    """`sobel` of the luma (full-range BT.601, not rounded, over 255).

    Args:
        pixels: uint8 [H,W,3].
        sigma: of a Gaussian filter before it, in px; None for none.

    Returns: float64 [H,W] down and to the right, in [-4, 4].
    """
    luma = inputs.luma(pixels) / inputs.PEAK
    return sobel(luma if sigma is None else smooth(luma, sigma))


def canny(
    pixels: np.ndarray, sigma: float = SIGMA, low: float = LOW, high: float = HIGH
) -> np.ndarray:
    """Canny's edges of the luma (full-range BT.601, not rounded, over 255).

    Gaussian filter cut at 4 sigma, Sobel gradient, thinning with interpolated
    neighbours, then all pixels of at least `low` that touch, over 8-neighbours, one of
    at least `high`. The outermost pixels are never edges.

    Args:
        pixels: uint8 [H,W,3].
        sigma: of the filter in px, > 0.
        low: > 0, for the length of the gradient of luma in [0, 1] (a step of 1 has 4).
        high: at least `low`.

    Returns:
        bool [H,W].

    Raises:
        ValueError: a picture of another type or shape, or wrong parameters.
    """
    inputs.check_pair(pixels, pixels)
    if not sigma > 0 or not math.isfinite(sigma):
        raise ValueError(f"`sigma` must be positive and finite, not {sigma}.")
    if not 0 < low <= high:
        raise ValueError(
            f"`low` and `high` must be 0 < low <= high, not {low} and {high}."
        )
    from tfsemcomp.metrics import kernels

    down, right = gradient(pixels, sigma)
    # Both pixels at a step are equally steep, but for the last digit, which differs
    # between processors: without it, such ties are ties everywhere.
    strength = np.hypot(down, right).astype(np.float32).astype(np.float64)
    thinned = kernels.thin(down, right, strength, low)
    return kernels.grow(thinned & (strength >= high), thinned)


def _near(edges: np.ndarray, tolerance: int) -> np.ndarray:
    """All pixels at most `tolerance` rows and columns from an edge."""
    for axis in (0, 1):
        whole = np.pad(
            edges, [(tolerance, tolerance) if a == axis else (0, 0) for a in (0, 1)]
        )
        windows = np.lib.stride_tricks.sliding_window_view(
            whole, 2 * tolerance + 1, axis=axis
        )
        edges = windows.any(axis=-1)
    return edges


def _check_edges(edges: np.ndarray, name: str) -> None:
    if not isinstance(edges, np.ndarray) or edges.dtype != bool or edges.ndim != 2:
        found = getattr(edges, "dtype", type(edges).__name__)
        raise ValueError(f"`{name}` must be a bool array [H,W], not {found}.")


def edge_map_f1(
    reference: np.ndarray,
    edges: np.ndarray,
    tolerance: int = TOLERANCE,
    weights: np.ndarray | None = None,
) -> float:
    """F1 of an edge map against another.

    An edge pixel is right where the other map has an edge at most `tolerance` rows and
    columns away. Precision is the share of the right ones in `edges`, recall in
    `reference`; F1 = 2 P R / (P + R). Unlike the BSDS benchmark this pairs no pixels
    one to one, and its tolerance is small, since a codec does not move edges far.

    Args:
        reference: bool [H,W], True on edges.
        edges: bool [H,W], same size.
        tolerance: in px, >= 0.
        weights: float [H,W] in [0, 1], how much each edge pixel counts; None or all 0
            for all alike.

    Returns:
        In [0, 1]; 1 where neither map has an edge (that counts), 0 where one has none.

    Raises:
        ValueError: maps of another type or size, or a wrong `tolerance`.
    """
    _check_edges(reference, "reference")
    _check_edges(edges, "edges")
    if reference.shape != edges.shape:
        raise ValueError(
            f"`edges` must have the size of `reference`, {list(reference.shape)}, not "
            f"{list(edges.shape)}."
        )
    if not isinstance(tolerance, (int, np.integer)) or tolerance < 0:
        raise ValueError(
            f"`tolerance` must be an integer of at least 0, not {tolerance!r}."
        )
    if weights is None:
        weights = np.ones(edges.shape)
    weights = inputs.check_weights(weights, edges.shape, "weights")
    if not weights.any():
        weights = np.ones(edges.shape)
    there, found = weights[reference].sum(), weights[edges].sum()
    if there == 0.0 or found == 0.0:
        return float(there == found)
    precision = weights[edges & _near(reference, tolerance)].sum() / found
    recall = weights[reference & _near(edges, tolerance)].sum() / there
    if precision + recall == 0.0:
        return 0.0
    return float(2.0 * precision * recall / (precision + recall))


def edge_f1(reference: np.ndarray, image: np.ndarray) -> float:
    """`edge_map_f1` of the `canny` edges of two pictures, with the defaults of both.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.

    Returns:
        In [0, 1]; 1 for equal pictures and for two without edges.

    Raises:
        ValueError: inputs of another type or of two sizes.
    """
    inputs.check_pair(reference, image)
    return edge_map_f1(canny(reference), canny(image))


def weighted_edge_f1(
    reference: np.ndarray, image: np.ndarray, weights: np.ndarray
) -> float:
    """`edge_f1`, each edge pixel counting by its weight.

    Args:
        reference: uint8 [H,W,3].
        image: uint8 [H,W,3], same size.
        weights: float [H,W] in [0, 1]; all 0 counts as all equal.

    Returns:
        In [0, 1]; 1 for equal pictures and for two without edges of any weight.

    Raises:
        ValueError: inputs of another type, size or range.
    """
    inputs.check_pair(reference, image)
    weights = inputs.check_weights(weights, reference.shape[:2], "weights")
    return edge_map_f1(canny(reference), canny(image), weights=weights)
