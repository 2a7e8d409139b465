"""Compiled loops of the metrics.

All functions touch nothing but their arguments and give the same result on every call.
Numba is imported with this module, so it must be imported inside functions only.
"""

import numpy as np

from tfsemcomp.jit import jit
from tfsemcomp.metrics import inputs

# SSIM's symmetric window up to its middle. Constants let the compiler unroll and
# vectorise, which is where the speed comes from.
_REACH = inputs.SSIM_WINDOW.size // 2
_TAPS = tuple(float(tap) for tap in inputs.SSIM_WINDOW[: _REACH + 1])


@jit()
def _filter_down(plane: np.ndarray, top: int, out: np.ndarray) -> None:
    """Filters along columns, the window's first row being `top`."""
    for j in range(out.size):
        total = _TAPS[_REACH] * plane[top + _REACH, j]
        for k in range(_REACH):
            total += _TAPS[k] * (plane[top + k, j] + plane[top + 2 * _REACH - k, j])
        out[j] = total


@jit()
def _filter_across(row: np.ndarray, out: np.ndarray) -> None:
    """Filters along a row, where the window fits whole."""
    for j in range(out.size):
        total = _TAPS[_REACH] * row[j + _REACH]
        for k in range(_REACH):
            total += _TAPS[k] * (row[j + k] + row[j + 2 * _REACH - k])
        out[j] = total


# Without Python's check for a division by zero, which would prevent vector code.
@jit(error_model="numpy")
def similarity(
    x: np.ndarray, y: np.ndarray, c1: float, c2: float
) -> tuple[np.ndarray, np.ndarray]:
    """The maps of SSIM and of its contrast-structure factor.

    Only the sum of both variances is needed, so four planes are filtered, not five.

    Args:
        x, y: float64 [H,W], H and W at least the window's 11.
        c1, c2: SSIM's constants.

    Returns: float64 [H-10,W-10] each.
    """
    height, width = x.shape[0] - 2 * _REACH, x.shape[1] - 2 * _REACH
    ssim = np.empty((height, width))
    structure = np.empty((height, width))
    power, product = x * x + y * y, x * y
    row = np.empty(x.shape[1])
    mean_x, mean_y = np.empty(width), np.empty(width)
    mean_power, mean_product = np.empty(width), np.empty(width)
    for i in range(height):
        _filter_down(x, i, row)
        _filter_across(row, mean_x)
        _filter_down(y, i, row)
        _filter_across(row, mean_y)
        _filter_down(power, i, row)
        _filter_across(row, mean_power)
        _filter_down(product, i, row)
        _filter_across(row, mean_product)
        for j in range(width):
            both = mean_x[j] * mean_y[j]
            squares = mean_x[j] * mean_x[j] + mean_y[j] * mean_y[j]
            covariance = mean_product[j] - both
            variances = mean_power[j] - squares
            factor = (2.0 * covariance + c2) / (variances + c2)
            structure[i, j] = factor
            ssim[i, j] = (2.0 * both + c1) / (squares + c1) * factor
    return ssim, structure


@jit()
def thin(
    down: np.ndarray, right: np.ndarray, strength: np.ndarray, low: float
) -> np.ndarray:
    """Keeps the pixels whose gradient is no smaller than both neighbours across.

    The neighbours lie one step along the gradient, forth and back, on the line between
    two pixels of the surrounding 3x3; their strengths are interpolated. The outermost
    pixels have none and are dropped.

    Args:
        down, right: float64 [H,W], the gradient.
        strength: float64 [H,W], its length.
        low: strengths below this are dropped; > 0.

    Returns: bool [H,W].
    """
    height, width = strength.shape
    kept = np.zeros((height, width), np.bool_)
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            here = strength[i, j]
            if here < low:
                continue
            y, x = down[i, j], right[i, j]
            side = 1 if x * y > 0 else -1
            if abs(y) >= abs(x):
                share = abs(x) / abs(y)
                straight_1, straight_2 = strength[i + 1, j], strength[i - 1, j]
            else:
                share = abs(y) / abs(x)
                straight_1, straight_2 = strength[i, j + side], strength[i, j - side]
            slanted_1 = strength[i + 1, j + side]
            slanted_2 = strength[i - 1, j - side]
            first = slanted_1 * share + straight_1 * (1 - share)
            second = slanted_2 * share + straight_2 * (1 - share)
            kept[i, j] = first <= here and second <= here
    return kept


@jit()
def grow(seeds: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """All allowed pixels that a chain of allowed 8-neighbours joins to a seed.

    Args:
        seeds: bool [H,W], each also allowed.
        allowed: bool [H,W].

    Returns: bool [H,W].
    """
    height, width = allowed.shape
    reached = seeds.copy()
    stack = np.empty((allowed.sum() + 1, 2), np.int64)
    size = 0
    for i in range(height):
        for j in range(width):
            if seeds[i, j]:
                stack[size] = i, j
                size += 1
    while size > 0:
        size -= 1
        i, j = stack[size]
        for p in range(max(i - 1, 0), min(i + 2, height)):
            for q in range(max(j - 1, 0), min(j + 2, width)):
                if allowed[p, q] and not reached[p, q]:
                    reached[p, q] = True
                    stack[size] = p, q
                    size += 1
    return reached


@jit()
def near(points: np.ndarray, radius: float) -> np.ndarray:
    """All pixels whose distance from a point is at most `radius`.

    Args:
        points: bool [H,W].
        radius: in px, >= 0.

    Returns: bool [H,W].
    """
    height, width = points.shape
    reached = np.zeros((height, width), np.bool_)
    reach = int(radius)
    for i in range(height):
        for j in range(width):
            if not points[i, j]:
                continue
            for p in range(max(i - reach, 0), min(i + reach + 1, height)):
                for q in range(max(j - reach, 0), min(j + reach + 1, width)):
                    if (p - i) ** 2 + (q - j) ** 2 <= radius * radius:
                        reached[p, q] = True
    return reached
