"""95 % confidence intervals: of shares, and of anything by resampling pictures."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

# Of the standard normal distribution: 95 % lie within.
_Z = 1.959964
_PERCENTILES = (2.5, 97.5)
# Numbers of a block of resamples: 32 MiB.
_BLOCK = 2**22


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with the ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def wilson(hits: float, count: int) -> tuple[float, float]:
    """95 % confidence interval of a share.

    Args:
        hits: how often it happened, 0..count.
        count: trials, >= 1.

    Returns:
        Lower and upper end, in [0, 1].

    Source: E. B. Wilson, JASA 1927.
    """
    share = hits / count
    centre = share + _Z**2 / (2 * count)
    reach = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    scale = 1 + _Z**2 / count
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


@dataclasses.dataclass(frozen=True)
class Draws:
    """How pictures are drawn anew.

    Attributes:
        times: number of draws, >= 1.
        seed: the same seed draws the same pictures.
    """

    times: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ValueError(f"`times` must be at least 1, received {self.times}.")


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], count: int, draws: Draws
) -> np.ndarray:
    """Values of statistics when the pictures are drawn anew, with replacement.

    All statistics of a call see the same draws: what is made of two of them, such as
    their difference, is paired by picture.

    Args:
        statistic: from weights float64 [K,count], rows that sum to 1, to values [K,M].
        count: number of pictures, >= 1.
        draws: how often, and which.

    Returns:
        float64 [1 + times, M]: of equal weights, then of each draw.

    Raises:
        ValueError: `count` is below 1.

    Source: B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap, 1993.
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1, received {count}.")
    shares = np.full(count, 1 / count)
    rng = np.random.default_rng(draws.seed)
    rows = max(1, _BLOCK // count)
    values = [statistic(shares[None])]
    for start in range(0, draws.times, rows):
        size = min(rows, draws.times - start)
        values.append(statistic(rng.multinomial(count, shares, size) / count))
    return np.concatenate(values)


def percentile(values: np.ndarray) -> Estimate:
    """The first value with the interval that the others span but for 5 %.

    Args:
        values: float64 [1 + times], of `bootstrap` or made of such.
    """
    low, high = np.percentile(values[1:], _PERCENTILES)
    return Estimate(float(values[0]), float(low), float(high))
