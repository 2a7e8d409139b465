"""Edges of a picture: where its structure is. A line is 1, everything else 0.

| method | strength | threshold | sigma |
|---|---|---|---|
| canny | length of the smoothed luma's gradient, luma in [0, 1] | 0.09 | 2 |
| canny_opencv | sum of the absolute gradients of 8-bit grey | 150 | |
| sobel | length of the luma's gradient / sqrt(32), in [0, 1] | 0.1 | |
| learned | of a network (models/edge_detector.py), in [0, 1] | its card's, or 0.5 | |

Both Canny detectors keep chains of pixels above a third of the threshold that hold one
above the threshold. A higher threshold gives fewer lines, and so does `remove_short`.
Nothing here needs more than the core dependencies.
"""

import os

import numpy as np

from tfsemcomp import images
from tfsemcomp.metrics import edges as edge_metrics
from tfsemcomp.serving import manifest, runner
from tfsemcomp.serving.runner import Runner

METHODS = ("canny", "canny_opencv", "sobel", "learned")
DEFAULT_METHOD = "canny"
# Those that `extract` compares with a method's `strength`.
THRESHOLDS = {"canny": 0.09, "canny_opencv": 150.0, "sobel": 0.1, "learned": 0.5}
SIGMA = 2.0
SCALES = (1, 2, 4)
# The system that models of edges belong to, and what their cards call the threshold.
SYSTEM = "edges"
THRESHOLD = "threshold"
# The upper threshold of Canny over the lower one, as in .03/.09 and in 50/150.
_HYSTERESIS = 3
# OpenCV's weights of red, green and blue in 2^-15, and tan 22.5 degrees in 2^-15.
_GREY_WEIGHTS = (9798, 19235, 3735)
_FIXED_POINT = 15
_TAN_22 = 13573
# No gradient of Sobel's is longer, since each part is 4 at most.
_SOBEL_PEAK = 4 * np.sqrt(2)
# Of the ridge whose direction `suppress` takes.
_RIDGE_SIGMA = 2.0
# Share of a map's value below which its bend is that of the grid.
_FLAT = 0.01

Model = str | os.PathLike | Runner | None


def extract(
    image: np.ndarray,
    method: str = DEFAULT_METHOD,
    *,
    threshold: float | None = None,
    sigma: float | None = None,
    model: Model = None,
) -> np.ndarray:
    """The edges of a picture.

    Args:
        image: uint8 [H,W,3].
        method: one of `METHODS`.
        threshold: in units of the method's strength, > 0; None for its default.
        sigma: of canny's Gaussian filter in px; None for 2.
        model: of learned: a name, a path or a runner; None for the shipped one.
    Returns: uint8 [H,W], 1 on a line and 0 elsewhere. Lines are one or, where two
        pixels are equally strong, two pixels wide.
    Raises:
        ValueError: an image of another type, an unknown method, or a wrong argument.
        SemCompError: there is no such model.
    """
    check_options(method, threshold=threshold, sigma=sigma, model=model)
    images.check_pixels(image)
    if method == "learned":
        threshold = _threshold(model) if threshold is None else threshold
        ridges = suppress(_learned_strength(image, _network(model)))
        return thin((ridges >= threshold).astype(np.uint8))
    threshold = THRESHOLDS[method] if threshold is None else threshold
    if method == "canny":
        sigma = SIGMA if sigma is None else sigma
        found = edge_metrics.canny(image, sigma, threshold / _HYSTERESIS, threshold)
    elif method == "canny_opencv":
        found = _canny_opencv(image, threshold)
    else:
        found = _sobel_lines(image, threshold)
    return found.astype(np.uint8)


def strength(
    image: np.ndarray,
    method: str = DEFAULT_METHOD,
    *,
    sigma: float | None = None,
    model: Model = None,
) -> np.ndarray:
    """What `extract` compares with its threshold, before lines are thinned.

    Args, raises: as of `extract`.
    Returns: float32 [H,W], >= 0; the table of this module has the units.
    """
    check_options(method, sigma=sigma, model=model)
    images.check_pixels(image)
    if method == "learned":
        return _learned_strength(image, _network(model))
    if method == "canny_opencv":
        return _opencv_gradient(image)[2].astype(np.float32)
    sigma = SIGMA if sigma is None else sigma
    down, right = edge_metrics.gradient(image, sigma if method == "canny" else None)
    length = np.hypot(down, right)
    return (length if method == "canny" else length / _SOBEL_PEAK).astype(np.float32)


def check_options(
    method: str,
    *,
    threshold: float | None = None,
    sigma: float | None = None,
    model: Model = None,
) -> None:
    """Refuses what `extract` does not take.

    Raises:
        ValueError: an unknown method, an option that the method has not, or a value
            that is not positive.
    """
    if method not in METHODS:
        raise ValueError(
            f"`method` must be one of {', '.join(METHODS)}; got '{method}'."
        )
    for name, value in (("threshold", threshold), ("sigma", sigma)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"`{name}` must be positive and finite; got {value}.")
    for name, value, owner in (("sigma", sigma, "canny"), ("model", model, "learned")):
        if value is not None and method != owner:
            raise ValueError(f"`{name}` is for {owner} only; leave it out of {method}.")


def find_model(model: str | os.PathLike | None = None) -> manifest.ModelInfo:
    """The model of learned edges with this name or path; None for the default one.

    Raises:
        SemCompError: there is none.
    """
    return manifest.choose(model, SYSTEM)


def label_boundaries(labels: np.ndarray) -> np.ndarray:
    """Where a label map changes: pixels unlike the next one to the right or below.

    Args:
        labels: integers [H,W].
    Returns: uint8 [H,W], 1 on a boundary, which is one pixel wide.
    Raises:
        ValueError: an array of another type or rank.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be integers [H,W]; got {labels.dtype} {list(labels.shape)}."
        )
    found = np.zeros(labels.shape, np.uint8)
    found[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    found[:-1] |= labels[:-1] != labels[1:]
    return found


def downscale(edges: np.ndarray, scale: int) -> np.ndarray:
    """Halves or quarters a map; each pixel is 1 where any of those it stands for is.

    Args:
        edges: uint8 [H,W] of 0 and 1.
        scale: one of `SCALES`.
    Returns: uint8 [ceil(H/scale),ceil(W/scale)] of 0 and 1.
    Raises:
        ValueError: another scale, or no edge map.
    """
    check_edges(edges)
    _check_scale(scale)
    height, width = (-(-side // scale) for side in edges.shape)
    whole = np.zeros((height * scale, width * scale), np.uint8)
    whole[: edges.shape[0], : edges.shape[1]] = edges
    return whole.reshape(height, scale, width, scale).max(axis=(1, 3))


def upscale(edges: np.ndarray, scale: int, height: int, width: int) -> np.ndarray:
    """Brings a map that `downscale` made back to its size; pixels become squares.

    Args:
        edges: uint8 [ceil(height/scale),ceil(width/scale)] of 0 and 1.
        scale: one of `SCALES`.
        height: rows wanted.
        width: columns wanted.
    Returns: uint8 [height,width] of 0 and 1.
    Raises:
        ValueError: another scale, no edge map, or one of another size.
    """
    check_edges(edges)
    _check_scale(scale)
    needed = (-(-height // scale), -(-width // scale))
    if edges.shape != needed:
        raise ValueError(
            f"`edges` must be {list(needed)} for {height}x{width} at scale {scale}; "
            f"got {list(edges.shape)}."
        )
    return edges.repeat(scale, axis=0).repeat(scale, axis=1)[:height, :width]


def remove_short(edges: np.ndarray, size: int) -> np.ndarray:
    """Drops lines that are short: 8-connected components of fewer than `size` pixels.

    Args:
        edges: uint8 [H,W] of 0 and 1.
        size: >= 0; 0 and 1 drop nothing.
    Returns: uint8 [H,W] of 0 and 1.
    Raises:
        ValueError: a negative size, or no edge map.
    """
    check_edges(edges)
    if not isinstance(size, (int, np.integer)) or size < 0:
        raise ValueError(f"`size` must be an integer of at least 0; got {size!r}.")
    from tfsemcomp.semantics import edge_kernels

    return edge_kernels.without_small(edges.astype(bool), size).astype(np.uint8)


def thin(edges: np.ndarray) -> np.ndarray:
    """Thins lines to one pixel; what was connected stays so.

    Args:
        edges: uint8 [H,W] of 0 and 1.
    Returns: uint8 [H,W] of 0 and 1, 1 only where `edges` is.
    Raises:
        ValueError: no edge map.
    Source: Guo and Hall, "Parallel thinning with two-subiteration algorithms",
        Communications of the ACM 32(3), 1989, algorithm A1.
    """
    check_edges(edges)
    lines, before = np.pad(edges.astype(bool), 1), -1
    while (count := np.count_nonzero(lines)) != before:
        before = count
        for step in (0, 1):
            lines[1:-1, 1:-1] &= ~_deletable(lines, step)
    return lines[1:-1, 1:-1].astype(np.uint8)


def suppress(strength: np.ndarray) -> np.ndarray:
    """Non-maximum suppression: keeps a map of strength on the crests of its ridges.

    A pixel stays where the smoothed map bends down, and where neither neighbour in the
    direction in which it does so most is stronger. The outermost pixels go.

    Args:
        strength: float [H,W], finite and >= 0.
    Returns: float32 [H,W], `strength` or 0.
    Raises:
        ValueError: an array of another type or range.
    """
    if strength.ndim != 2 or strength.dtype.kind != "f":
        raise ValueError(
            "`strength` must be a float array [H,W]; got "
            f"{strength.dtype} {list(strength.shape)}."
        )
    if not (np.isfinite(strength).all() and strength.min(initial=0) >= 0):
        raise ValueError("`strength` must be finite and not negative.")
    from tfsemcomp.metrics import kernels

    plane = strength.astype(np.float64)
    smooth = np.pad(edge_metrics.smooth(plane, _RIDGE_SIGMA), 1, mode="edge")
    middle = smooth[1:-1, 1:-1]
    yy = smooth[2:, 1:-1] + smooth[:-2, 1:-1] - 2 * middle
    xx = smooth[1:-1, 2:] + smooth[1:-1, :-2] - 2 * middle
    xy = (smooth[2:, 2:] + smooth[:-2, :-2] - smooth[2:, :-2] - smooth[:-2, 2:]) / 4
    # The Hessian's lower eigenvalue and its eigenvector.
    bend = (yy + xx) / 2 - np.hypot((yy - xx) / 2, xy)
    angle = 0.5 * np.arctan2(-2 * xy, yy - xx)
    tiny = np.finfo(np.float64).tiny
    kept = kernels.thin(np.sin(angle), np.cos(angle), plane, tiny)
    return np.where(kept & (bend < -_FLAT * middle), strength, 0).astype(np.float32)


def check_edges(edges: np.ndarray) -> None:
    """Refuses anything but an edge map.

    Raises:
        ValueError: not uint8 [H,W] of 0 and 1, H and W >= 1.
    """
    found = getattr(edges, "dtype", type(edges).__name__)
    if not isinstance(edges, np.ndarray) or edges.dtype != np.uint8:
        raise ValueError(f"`edges` must be a uint8 array [H,W]; got {found}.")
    if edges.ndim != 2 or 0 in edges.shape:
        raise ValueError(
            f"`edges` must have the shape [H,W] with H and W >= 1; got "
            f"{list(edges.shape)}."
        )
    if edges.max() > 1:
        raise ValueError(
            f"`edges` must be 1 on lines and 0 elsewhere; the largest value is "
            f"{edges.max()}: divide a map of 0 and 255 by 255."
        )


def _check_scale(scale: int) -> None:
    if scale not in SCALES:
        raise ValueError(f"`scale` must be one of {SCALES}; got {scale!r}.")


def _sobel_lines(image: np.ndarray, threshold: float) -> np.ndarray:
    from tfsemcomp.metrics import kernels

    down, right = edge_metrics.gradient(image, None)
    length = np.hypot(down, right) / _SOBEL_PEAK
    return kernels.thin(down, right, length, threshold)


def _opencv_gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient down and right of the blurred grey, and the sum of both: int32 [H,W].

    cvtColor, a 5x5 GaussianBlur of automatic sigma, whose taps are 1, 4, 6, 4, 1, and
    Sobel, in OpenCV's integers.
    """
    red, green, blue = np.moveaxis(image.astype(np.int32), -1, 0)
    weighted = sum(
        weight * plane
        for weight, plane in zip(_GREY_WEIGHTS, (red, green, blue), strict=True)
    )
    grey = (weighted + (1 << _FIXED_POINT - 1)) >> _FIXED_POINT
    whole = np.pad(grey, 2, mode="reflect")
    rows = whole[:-4] + whole[4:] + 4 * (whole[1:-3] + whole[3:-1]) + 6 * whole[2:-2]
    both = (
        rows[:, :-4]
        + rows[:, 4:]
        + 4 * (rows[:, 1:-3] + rows[:, 3:-1])
        + 6 * rows[:, 2:-2]
    )
    down, right = edge_metrics.sobel((both + 128) >> 8)
    return down, right, abs(down) + abs(right)


def _canny_opencv(image: np.ndarray, threshold: float) -> np.ndarray:
    """Canny as in OpenCV, the lower threshold being a third of the upper one."""
    from tfsemcomp.metrics import kernels

    down, right, length = _opencv_gradient(image)
    whole = np.pad(length, 1)

    def neighbour(row: int, column: int) -> np.ndarray:
        height, width = length.shape
        return whole[1 + row : 1 + row + height, 1 + column : 1 + column + width]

    # Three sectors by the ratio of both gradients, in fixed point.
    across, along = abs(right) * _TAN_22, abs(down) << _FIXED_POINT
    level = along < across
    upright = along > across + (abs(right) << _FIXED_POINT + 1)
    rising = (down ^ right) < 0
    slanted = np.where(
        rising,
        np.maximum(neighbour(-1, 1), neighbour(1, -1)),
        np.maximum(neighbour(-1, -1), neighbour(1, 1)),
    )
    crest = np.where(
        level,
        (length > neighbour(0, -1)) & (length >= neighbour(0, 1)),
        np.where(
            upright,
            (length > neighbour(-1, 0)) & (length >= neighbour(1, 0)),
            length > slanted,
        ),
    )
    crest &= length > np.floor(threshold / _HYSTERESIS)
    return kernels.grow(crest & (length > np.floor(threshold)), crest)


def _deletable(lines: np.ndarray, step: int) -> np.ndarray:
    """Pixels that a step of Guo and Hall's may delete: bool [H-2,W-2]."""
    rows, columns = lines.shape
    # Neighbours in order from the north, clockwise.
    north, north_east, east, south_east, south, south_west, west, north_west = (
        lines[1 + i : rows - 1 + i, 1 + j : columns - 1 + j]
        for i, j in (
            *((-1, 0), (-1, 1), (0, 1), (1, 1)),
            *((1, 0), (1, -1), (0, -1), (-1, -1)),
        )
    )
    crossings = sum(
        (~side & (corner | following)).astype(np.int8)
        for side, corner, following in (
            (north, north_east, east),
            (east, south_east, south),
            (south, south_west, west),
            (west, north_west, north),
        )
    )
    first = _count(
        north_west | north, north_east | east, south_east | south, south_west | west
    )
    second = _count(
        north | north_east, east | south_east, south | south_west, west | north_west
    )
    neighbours = np.minimum(first, second)
    if step == 0:
        held = (north | north_east | ~south_east) & east
    else:
        held = (south | south_west | ~north_west) & west
    return (crossings == 1) & (neighbours >= 2) & (neighbours <= 3) & ~held


def _count(*planes: np.ndarray) -> np.ndarray:
    return sum(plane.astype(np.int8) for plane in planes)


def _network(model: Model) -> Runner:
    return model if hasattr(model, "call") else runner.shared(find_model(model))


def _threshold(model: Model) -> float:
    """What the card says is best, or the default."""
    is_runner = hasattr(model, "call")
    info = getattr(model, "model", None) if is_runner else find_model(model)
    card = {} if info is None else info.card
    return card.get(THRESHOLD, THRESHOLDS["learned"])


def _learned_strength(image: np.ndarray, network: Runner) -> np.ndarray:
    found = network.call("structure", images=image[None].astype(np.float32))
    return np.clip(found["strength"][0], 0, 1).astype(np.float32)
