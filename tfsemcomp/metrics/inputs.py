"""What every metric shares: the checks of its inputs, luma, and small images."""

import numpy as np

# BT.601 weights on full-range RGB, as JFIF (ITU-T T.871) defines Y.
LUMA_WEIGHTS = (0.299, 0.587, 0.114)
PEAK = 255.0


def gaussian_taps(length: int, sigma: float) -> np.ndarray:
    """A sampled Gaussian with `length` (odd) taps that sum to 1, float64."""
    offsets = np.arange(length) - length // 2
    taps = np.exp(-(offsets**2) / (2.0 * sigma**2))
    return taps / taps.sum()


# SSIM's window: 11 taps, sigma 1.5.
SSIM_WINDOW = gaussian_taps(11, 1.5)


def check_pair(reference: np.ndarray, image: np.ndarray) -> None:
    """Refuses anything but two pictures of one size.

    Args:
        reference: the original, uint8 [H,W,3], H and W >= 1.
        image: the picture to judge, same shape and type.

    Raises:
        ValueError: another type (float pictures too: their range would be a guess),
            another rank, no pixels, or two sizes.
    """
    for name, pixels in (("reference", reference), ("image", image)):
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            found = getattr(pixels, "dtype", type(pixels).__name__)
            raise ValueError(
                f"`{name}` must be a uint8 array [H,W,3] with values 0..255, not "
                f"{found}: round and clip to 8 bits first."
            )
        if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise ValueError(
                f"`{name}` must have the shape [H,W,3] with H and W >= 1, not "
                f"{list(pixels.shape)}."
            )
    if reference.shape != image.shape:
        raise ValueError(
            f"`image` must have the size of `reference`, {list(reference.shape[:2])}, "
            f"not {list(image.shape[:2])}: metrics never resize."
        )


def check_pictures(images: np.ndarray, name: str) -> None:
    """Refuses anything but a stack of pictures.

    Args:
        images: uint8 [B,H,W,3], B, H and W >= 1.
        name: the argument's name, for the message.

    Raises:
        ValueError: another type (float pictures too), another rank, or no pixels.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        found = getattr(images, "dtype", type(images).__name__)
        raise ValueError(
            f"`{name}` must be a uint8 array [B,H,W,3] with values 0..255, not {found}."
        )
    if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
        raise ValueError(
            f"`{name}` must have the shape [B,H,W,3] with B, H and W >= 1, not "
            f"{list(images.shape)}."
        )


def check_weights(weights: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    """Checks a map of per-pixel weights and returns it in double precision.

    Args:
        weights: floating point [H,W], finite, in [0, 1].
        shape: the (H, W) of the picture that it belongs to.
        name: the argument's name, for the message.

    Returns:
        float64 [H,W].

    Raises:
        ValueError: another type, size or range, or values that are not finite.
    """
    if not isinstance(weights, np.ndarray) or weights.dtype.kind != "f":
        found = getattr(weights, "dtype", type(weights).__name__)
        raise ValueError(
            f"`{name}` must be a float array [H,W] with values in [0, 1], not {found}: "
            "divide an 8-bit map by 255."
        )
    if weights.shape != tuple(shape):
        raise ValueError(
            f"`{name}` must have the picture's size, {list(shape)}, not "
            f"{list(weights.shape)}: resize it first."
        )
    if not (weights.min() >= 0.0 and weights.max() <= 1.0):
        raise ValueError(
            f"`{name}` must lie in [0, 1] and be finite; it spans "
            f"[{weights.min():g}, {weights.max():g}]."
        )
    return weights.astype(np.float64)


def luma(pixels: np.ndarray) -> np.ndarray:
    """Full-range BT.601 luma, not rounded.

    Args:
        pixels: uint8 [H,W,3].

    Returns:
        float64 [H,W] in [0, 255]: Y = 0.299 R + 0.587 G + 0.114 B.
    """
    return pixels.astype(np.float64) @ np.array(LUMA_WEIGHTS)


def extend(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mirrors a plane at its lower and right edge until it has at least this size.

    The one rule for pictures smaller than a metric's windows: values stay on the
    metric's scale and are defined down to one pixel.

    Args:
        plane: [H,W] or [H,W,C], any type.
        height: rows wanted.
        width: columns wanted.

    Returns:
        [max(H, height), max(W, width)], or this by C; `plane` itself where nothing is
        missing.
    """
    missing = (max(0, height - plane.shape[0]), max(0, width - plane.shape[1]))
    if missing == (0, 0):
        return plane
    edges = ((0, missing[0]), (0, missing[1]), *[(0, 0)] * (plane.ndim - 2))
    return np.pad(plane, edges, mode="symmetric")


def filter_valid(plane: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Filters with symmetric taps along both axes, where the window fits whole.

    Args:
        plane: float64 [H,W].
        taps: float64 [n], n odd and symmetric, n <= H and W.

    Returns:
        float64 [H-n+1, W-n+1].
    """
    reach = len(taps) // 2
    height, width = plane.shape[0] - 2 * reach, plane.shape[1] - 2 * reach
    rows = plane[reach : reach + height] * taps[reach]
    pair = np.empty_like(rows)
    for k in range(reach):
        far = 2 * reach - k
        np.add(plane[k : k + height], plane[far : far + height], out=pair)
        pair *= taps[k]
        rows += pair
    out = rows[:, reach : reach + width] * taps[reach]
    pair = np.empty_like(out)
    for k in range(reach):
        far = 2 * reach - k
        np.add(rows[:, k : k + width], rows[:, far : far + width], out=pair)
        pair *= taps[k]
        out += pair
    return out


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Mean of `values` under `weights`; the plain mean where all weights are 0."""
    total = weights.sum()
    if total == 0.0:
        return float(values.mean())
    return float((values * weights).sum() / total)


def _averaging(parts: int, length: int) -> np.ndarray:
    """Matrix [parts, length] whose rows average over equal parts of `length`."""
    edges = np.arange(parts + 1) * (length / parts)
    samples = np.arange(length)
    upper = np.minimum(edges[1:, None], samples + 1)
    shares = np.clip(upper - np.maximum(edges[:-1, None], samples), 0.0, None)
    return shares / shares.sum(axis=1, keepdims=True)


def area_means(plane: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Means over equal parts of a plane; a sample on a border counts by its share.

    Args:
        plane: float64 [H,W].
        rows: parts in height, at most H.
        columns: parts in width, at most W.

    Returns:
        float64 [rows, columns].
    """
    height, width = plane.shape
    return _averaging(rows, height) @ plane @ _averaging(columns, width).T


def decibels(squared_error: float) -> float:
    """10 log10(255^2 / squared_error) in dB; inf for no error."""
    if squared_error <= 0.0:
        return float("inf")
    return float(10.0 * np.log10(PEAK**2 / squared_error))
