"""Builds tables from probabilities; used when a model is exported, never to code.

The tail of a distribution beyond `tail_mass` gets no symbols of its own but the
escape, as in tensorflow-compression's entropy models, whose tables these reproduce.
"""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from tfsemcomp.entropy.tables import MAX_PRECISION, MIN_PRECISION, Tables

TAIL_MASS = 2.0**-8
PRECISION = 12
_SUM_TOLERANCE = 1e-3


def from_pmf(
    rows: Sequence[np.ndarray],
    offsets: Sequence[int] | np.ndarray,
    precision: int = PRECISION,
    escape: bool = True,
) -> Tables:
    """Quantises probabilities to tables, each symbol keeping at least 2**-precision.

    Args:
        rows: a vector of probabilities for each table, its symbols in order.
        offsets: integers [T] that the first symbols stand for.
        precision: 8 to 16 bits.
        escape: whether each table gets an escape, with the mass that its row lacks
            to 1. Without it rows are divided by their sums, so counts will do.
    Raises:
        ValueError: if a row is empty, has a value that is no probability, sums to
            more than 1 (with an escape) or has more symbols than 2**precision.
    Source: Ballé et al. 2018 (arXiv 1802.01436) for the coder;
        tensorflow-compression's PmfToQuantizedCdf for the rounding.
    """
    import tensorflow as tf
    import tensorflow_compression as tfc

    if not MIN_PRECISION <= precision <= MAX_PRECISION:
        raise ValueError(
            f"`precision` must be from {MIN_PRECISION} to {MAX_PRECISION}, "
            f"received {precision}"
        )
    head = np.int32([-precision if escape else precision])
    lookup = []
    for number, row in enumerate(rows):
        pmf = _masses(np.asarray(row, np.float64), number, precision, escape)
        with tf.device("/CPU:0"):
            cdf = tfc.pmf_to_quantized_cdf(pmf, precision=precision).numpy()
        lookup += [head, cdf]
    return Tables(np.concatenate(lookup or [head[:0]]), np.asarray(offsets, np.int32))


def _masses(row: np.ndarray, number: int, precision: int, escape: bool) -> np.ndarray:
    """The row with its escape, or normalised, as float32.

    The op ends the process on rows that pass no check here.
    """
    if row.ndim != 1 or not row.size or not (np.isfinite(row) & (row >= 0)).all():
        raise ValueError(
            f"row {number} of `rows` must be a non-empty vector of finite values of "
            "at least 0"
        )
    total = row.sum()
    if escape and total > 1 + _SUM_TOLERANCE:
        raise ValueError(f"row {number} of `rows` sums to {total}, expected at most 1")
    if not escape and not total > 0:
        raise ValueError(f"row {number} of `rows` sums to {total}, expected more")
    row = np.append(row, max(1 - total, 0)) if escape else row / total
    if not 2 <= len(row) <= 1 << precision:
        raise ValueError(
            f"row {number} of `rows` makes a table of {len(row)} symbols, a precision "
            f"of {precision} holds 2 to {1 << precision}"
        )
    return row.astype(np.float32)


def scale_table(
    count: int = 64, minimum: float = 0.11, maximum: float = 256.0
) -> np.ndarray:
    """The scales that hyperpriors select from: float64 [count], log-spaced.

    Source: tensorflow-compression's bmshj2018 model.
    """
    return np.exp(np.linspace(math.log(minimum), math.log(maximum), count))


def gaussian_tables(
    scales: Sequence[float] | np.ndarray | None = None,
    tail_mass: float = TAIL_MASS,
    precision: int = PRECISION,
) -> Tables:
    """Tables of integers that were rounded from zero-mean Gaussians.

    The mass of k is Phi((k + .5) / scale) - Phi((k - .5) / scale), in float64.

    Args:
        scales: standard deviations > 0, one a table; default: `scale_table()`.
        tail_mass: in (0, 1), what both tails together leave to the escape at most.
        precision: 8 to 16 bits.
    Raises: ValueError if a scale or `tail_mass` is out of range, or a scale needs more
        symbols than the precision holds.
    Source: Ballé et al. 2018 (arXiv 1802.01436), appendix 6.2.
    """
    scales = scale_table() if scales is None else np.asarray(scales, np.float64)
    if scales.ndim != 1 or not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(
            "`scales` must be a vector of finite standard deviations > 0, "
            f"received {scales!r}"
        )
    _check_tail_mass(tail_mass)
    quantile = -statistics.NormalDist().inv_cdf(tail_mass / 2)
    rows, offsets = [], []
    for scale in scales:
        # More symbols than that cannot be coded; the row must not fill the memory.
        reach = min(math.ceil(quantile * scale), 1 << MAX_PRECISION)
        half = [_gaussian_mass(k, scale) for k in range(reach + 1)]
        rows.append(np.float64(half[:0:-1] + half))
        offsets.append(-reach)
    return from_pmf(rows, offsets, precision)


def _gaussian_mass(k: int, scale: float) -> float:
    """Mass of rounding to k >= 0, from the upper tail: no difference of near-ones."""
    scale = scale * math.sqrt(2)
    if k == 0:
        return math.erf(0.5 / scale)
    return (math.erfc((k - 0.5) / scale) - math.erfc((k + 0.5) / scale)) / 2


def factorized_tables(
    prior, tail_mass: float = TAIL_MASS, precision: int = PRECISION
) -> Tables:
    """One table a channel of a trained prior, for integers without a shift.

    Args:
        prior: a `tfc.NoisyDeepFactorized`, or another distribution of
            tensorflow-compression with uniform noise, of batch shape (C,).
        tail_mass: in (0, 1), half of which each tail leaves to the escape at most.
        precision: 8 to 16 bits.
    Raises: ValueError if `prior` has another shape, or a channel reaches so far that
        its symbols exceed the precision (its density is too flat to code).
    Source: Ballé et al. 2018 (arXiv 1802.01436), appendix 6.1.
    """
    if prior.batch_shape.rank != 1 or prior.event_shape.rank:
        raise ValueError(
            "`prior` must be one scalar distribution a channel, received a batch "
            f"shape {prior.batch_shape} and an event shape {prior.event_shape}"
        )
    _check_tail_mass(tail_mass)
    first, last = _tails(prior.base, tail_mass / 2, 1 << precision)
    samples = np.arange(first.min(), last.max() + 1)
    masses = prior.prob(samples[:, None].astype(prior.dtype.as_numpy_dtype)).numpy()
    rows = [
        masses[low - samples[0] : high + 1 - samples[0], channel]
        for channel, (low, high) in enumerate(zip(first, last, strict=True))
    ]
    return from_pmf(rows, first, precision)


def _tails(base, mass: float, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The integers, int64 [C] each, beyond which lies at most `mass` on either side.

    A search of the integers: tensorflow-compression's search by gradient takes seconds
    and is approximate.
    """
    reach = 32
    while reach <= limit:
        grid = np.arange(-reach, reach + 1)
        points = grid[:, None].astype(base.dtype.as_numpy_dtype)
        below = base.cdf(points).numpy() <= mass
        above = base.survival_function(points).numpy() <= mass
        if below[0].all() and above[-1].all():
            return grid[below.sum(axis=0) - 1], grid[::-1][above.sum(axis=0) - 1]
        reach *= 2
    raise ValueError(
        f"`prior` has a channel that reaches beyond {-limit} to {limit}; train it "
        "longer or raise `precision`"
    )


def _check_tail_mass(tail_mass: float) -> None:
    if not 0 < tail_mass < 1:
        raise ValueError(f"`tail_mass` must be in (0, 1), received {tail_mass}")
