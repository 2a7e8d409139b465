"""Where the bits of a JPEG go: rate-distortion choices steered by a ROI map.

One quantisation table serves the whole file, so a block cannot have steps of its own.
But which levels it takes is the encoder's choice. Here each block minimises

    sum over k of weight_b * sensitivity_k * (D_k - level_k * T_k)^2  +  lmbda * bits

over the levels: D the coefficients, T the table, sensitivity_k what an error at
frequency k counts, weight_b what the block counts. The table is finer than plain JPEG's
at the same size. Where weights are high its full precision is used; elsewhere
coefficients shrink or vanish, wherever that saves most bits for the error it makes.

    map --importance--> [0,1] --block_weights--> weight_b
    pixels --analyse--> D --trellis(scale, pressure)--> levels --file_size--> bytes
                                   ^                                        |
                                   `---------------- fit_size --------------'

A map that is the same everywhere, or a `strength` of 0, prefers no block.

Sources: trellis quantisation as in Crouse and Ramchandran, "Joint thresholding and
quantizer selection for transform image coding", IEEE Trans. Image Processing 1997; the
block weights after arXiv 1612.08712, whose encoder mixes pixels instead.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tfsemcomp import errors
from tfsemcomp.codecs import jpeg_coefficients
from tfsemcomp.codecs.jpeg_coefficients import Coefficients, Layout, Spectrum


@dataclasses.dataclass(frozen=True)
class Tuning:
    """What counts as a good picture, beside the map.

    Attributes:
        table_exponent: the table is annex K's to this power: 1 keeps its shape, 0
            makes it flat.
        error_exponent: a squared error counts annex K's step to this power times -2:
            0 is squared error, 1 the eye's contrast sensitivity as in PSNR-HVS.
        pressure: lmbda in units of a typical squared error of one step: 0 rounds, more
            takes a finer table and more zeros.
        masking: a block counts its texture's energy to this power times -1: 0 ignores
            that texture hides errors.
        chroma: factor of the chroma table's steps.
    """

    table_exponent: float
    error_exponent: float
    pressure: float
    masking: float
    chroma: float


# Chosen by measurement on photos at the bytes of plain JPEG at qualities 30, 50 and 75,
# under maps of several kinds. balanced: the most PSNR in the important fifth among
# those that lose nothing on the mean in PSNR, SSIM or PSNR-HVS-M. psnr: the most of
# PSNR, at a loss of some 3 dB of PSNR-HVS-M. hvs: the most of that among those that
# lose no PSNR.
TUNINGS: dict[str, Tuning] = {
    "balanced": Tuning(0.5, 0.75, 0.1, 0.2, 0.85),
    "psnr": Tuning(0.3, 0.2, 0.1, 0.0, 0.7),
    "hvs": Tuning(0.8, 0.9, 0.06, 0.4, 1.0),
}

# The range of table scales searched: at the ends all steps are 1 or 255 and lmbda next
# to nothing or above all.
_MIN_SCALE, _MAX_SCALE = 0.002, 400.0
_SCALE_BOUNDS = (math.log(_MIN_SCALE), math.log(_MAX_SCALE))
# How often levels are chosen in one search, at most, and files made in all.
_MAX_TRIALS = 10
_MAX_PRESSURE_TRIALS = 4
_MAX_FILES = 4
# Files this close below the target, as a share or in bytes, need no further search.
_TOLERANCE = 0.0015
_TOLERANCE_BYTES = 6
# Decibels that a file may score above the goal.
_SCORE_TOLERANCE = 0.03

# Squared error of the RGB samples per unit of squared error in Y, Cb and Cr (JFIF),
# cross terms left out.
_RGB_ERROR = (3.0, 0.344136**2 + 1.772**2, 1.402**2 + 0.714136**2)
# How fast weights may fall from block to block, in octaves.
_WEIGHT_SLOPE = 1.0
# Maps with less contrast than this are taken for noise in proportion.
_FULL_CONTRAST = 0.1
# Power of the importance: more sets off the most important part more.
_SHAPE = 2.0
_TEXTURE_FLOOR = 4.0
_UNSEEN_BITS = 16


def importance(roi_map: np.ndarray, layout: Layout) -> np.ndarray:
    """How much each luma block matters.

    The mean of a block's place among the blocks (0 to 1 by rank, equal ones sharing
    the mean) and of its value between the map's extremes. Ranks keep a few peaks from
    hiding the rest, values keep a mask a mask.

    Args:
        roi_map: float32 [H,W] in [0, 1].
        layout: of the image.

    Returns: float64 [rows, columns] in [0, 1]; all equal for an even map.
    """
    rows, columns = layout.grid(0)
    missing = (8 * rows - layout.height, 8 * columns - layout.width)
    padded = np.pad(roi_map, ((0, missing[0]), (0, missing[1])), mode="edge")
    means = padded.reshape(rows, 8, columns, 8).mean(axis=(1, 3), dtype=np.float64)
    low, high = float(means.min()), float(means.max())
    if high - low < 1e-6:
        return np.full_like(means, 0.5)
    values = (means - low) / (high - low)
    _, place, count = np.unique(means, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count + 1) / 2) / max(means.size - 1, 1)
    mixed = (values + ranks[place].reshape(means.shape)) / 2
    trust = min((high - low) / _FULL_CONTRAST, 1.0)
    return 0.5 + trust * (mixed - 0.5)


def block_weights(
    roi_map: np.ndarray, spectrum: Spectrum, strength: float, tuning: Tuning
) -> tuple[np.ndarray, ...]:
    """What a squared error in each block counts.

    Args:
        roi_map: float32 [H,W] in [0, 1].
        spectrum: of the image.
        strength: octaves between the most and the least important block.
        tuning: for masking.

    Returns: by channel float32 [n], luma weights with a geometric mean of 1.
    """
    layout = spectrum.layout
    octaves = strength * importance(roi_map, layout) ** _SHAPE
    octaves = _limit_slope(octaves, strength)
    if tuning.masking:
        octaves -= tuning.masking * np.log2(_texture(spectrum)).reshape(octaves.shape)
    luma = np.exp2(octaves - octaves.mean())
    return tuple(
        weight.astype(np.float32).ravel() for weight in _by_channel(luma, layout)
    )


def _by_channel(luma: np.ndarray, layout: Layout) -> list[np.ndarray]:
    """A plane for each channel from one of luma blocks; of several blocks the mean."""
    chroma = luma
    if layout.factor == 2:
        rows, columns = layout.grid(1)
        missing = ((0, 2 * rows - luma.shape[0]), (0, 2 * columns - luma.shape[1]))
        chroma = np.pad(luma, missing, mode="edge")
        chroma = chroma.reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    return [luma, chroma, chroma][: layout.channels]


def _limit_slope(octaves: np.ndarray, strength: float) -> np.ndarray:
    """Raises blocks beside important ones, so that no seam shows."""
    for _ in range(math.ceil(strength / _WEIGHT_SLOPE)):
        padded = np.pad(octaves, 1, mode="edge") - _WEIGHT_SLOPE
        for neighbour in (
            padded[:-2, 1:-1],
            padded[2:, 1:-1],
            padded[1:-1, :-2],
            padded[1:-1, 2:],
        ):
            octaves = np.maximum(octaves, neighbour)
    return octaves


def _texture(spectrum: Spectrum) -> np.ndarray:
    """Visible energy of each luma block: float32 [n], at least `_TEXTURE_FLOOR`."""
    sensitivity = (10 / jpeg_coefficients.LUMINANCE[1:]) ** 2 / 63
    details = spectrum.blocks[0][:, 1:]
    energy = np.square(details) @ sensitivity.astype(np.float32)
    return energy + np.float32(_TEXTURE_FLOOR)


def chroma_gains(layout: Layout) -> np.ndarray:
    """Squared error of the image per squared error of a chroma coefficient.

    With 4:2:0 the triangle filter of decoders spreads low frequencies over four pixels
    and damps high ones.

    Returns: float64 [64].
    """
    if layout.factor == 1:
        return np.ones(64)
    frequency, position = np.mgrid[:8, :8]
    basis = np.cos((2 * position + 1) * frequency * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    padded = np.pad(basis, ((0, 0), (1, 1)), mode="edge")
    before = 0.75 * basis + 0.25 * padded[:, :-2]
    after = 0.75 * basis + 0.25 * padded[:, 2:]
    gains = (before**2 + after**2).sum(axis=1)
    return np.outer(gains, gains).ravel()[jpeg_coefficients.ZIGZAG]


def _typical_step(base: np.ndarray) -> float:
    """Geometric mean over the low frequencies, where the bits are."""
    return float(np.exp(np.log(base[1:16]).mean()))


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One allocation.

    Attributes:
        coefficients: chosen.
        size: of the baseline file in bytes, estimated.
        symbol_bits: by table float32 [256], what the symbols cost in this file.
    """

    coefficients: Coefficients
    size: float
    symbol_bits: tuple[np.ndarray, ...]


class Trellis:
    """Allocates the bits of one image, with block weights, by rate and distortion.

    Args:
        spectrum: of the image.
        weights: of `block_weights`.
        tuning: what counts as a good picture.

    Attributes:
        pressure_slope: about how the logarithm of the size changes with that of the
            pressure.
    """

    pressure_slope = -0.12

    def __init__(
        self, spectrum: Spectrum, weights: tuple[np.ndarray, ...], tuning: Tuning
    ) -> None:
        layout = spectrum.layout
        self.spectrum = spectrum
        self.weights = weights
        self.tuning = tuning
        self._orders = [layout.scan_order(c) for c in range(layout.channels)]
        self._bases, self._sensitivities = [], []
        gains = (1.0, chroma_gains(layout), chroma_gains(layout))
        for channel in range(layout.channels):
            base = _annex_k(channel)
            relative = base / _typical_step(base)
            shaped = _typical_step(base) * relative**tuning.table_exponent
            shaped *= tuning.chroma if channel > 0 else 1
            self._bases.append(shaped)
            counts = relative ** (-2 * tuning.error_exponent)
            self._sensitivities.append(_RGB_ERROR[channel] * gains[channel] * counts)

    def tables(self, scale: float) -> tuple[np.ndarray, ...]:
        """The tables at a scale, as in `Coefficients.tables`; 1 is about quality 50."""
        bases = self._bases[:2]
        return tuple(jpeg_coefficients.scale_table(base, scale) for base in bases)

    def start(self, size: float) -> tuple[float, Trial]:
        """A scale to begin the search for `size` bytes with, and plain rounding there.

        The trial serves as a first guess of what symbols cost.
        """

        def plain(logarithm: float) -> tuple[float, Trial]:
            tables = self.tables(math.exp(logarithm))
            levels = jpeg_coefficients.quantise(self.spectrum, tables)
            return _excess(_trial(levels), size)

        point = _solve(
            plain,
            start=0.0,
            slope=-0.8,
            window=(-0.1, 0.1),
            bounds=_SCALE_BOUNDS,
        )[0]
        # Rounding spends more bits than this class does, at the same table.
        return 0.87 * math.exp(point.x), point.result

    def allocate(self, scale: float, pressure: float, last: Trial) -> Trial:
        """Chooses all levels.

        Args:
            scale: of the table; lmbda follows its square.
            pressure: factor of lmbda.
            last: whose `symbol_bits` are taken for the rate.
        """
        from tfsemcomp.codecs import jpeg_kernels

        layout = self.spectrum.layout
        tables = self.tables(scale)
        step = scale * _typical_step(_annex_k(0))
        lmbda = _RGB_ERROR[0] * step**2 * self.tuning.pressure * pressure
        all_levels = []
        for channel, blocks in enumerate(self.spectrum.blocks):
            kind = min(channel, 1)
            steps = tables[kind].astype(np.float32)
            error_bits = self._sensitivities[channel] * steps.astype(np.float64) ** 2
            error_bits = (error_bits / max(lmbda, 1e-9)).astype(np.float32)
            weights = self.weights[channel]
            levels = np.empty(blocks.shape, np.int16)
            of_dc, of_ac = last.symbol_bits[2 * kind : 2 * kind + 2]
            jpeg_kernels.choose_ac(blocks, steps, error_bits, weights, of_ac, levels)
            order = self._orders[channel]
            chosen = np.empty(len(order), np.int16)
            values, dc_bits = blocks[order, 0], error_bits[0] * weights[order]
            jpeg_kernels.choose_dc(values, steps[0], dc_bits, of_dc, chosen)
            levels[order, 0] = chosen
            all_levels.append(levels)
        return _trial(Coefficients(layout, tuple(all_levels), tables))


class DeadZone:
    """Allocates by a threshold alone: what is below it in steps becomes 0.

    The threshold is 0.5, plain rounding, for DC and for the most important block, and
    rises with frequency and with unimportance. Tables are those of annex K. Simpler
    and faster than `Trellis`, and less good.

    Args:
        spectrum: of the image.
        roi_map: float32 [H,W] in [0, 1].
        strength: as of `block_weights`; the threshold rises by a quarter of it at most.

    Attributes:
        pressure_slope: as of `Trellis`.
    """

    pressure_slope = -0.5

    def __init__(
        self, spectrum: Spectrum, roi_map: np.ndarray, strength: float
    ) -> None:
        layout = spectrum.layout
        self.spectrum = spectrum
        unimportance = 1 - importance(roi_map, layout)
        # Only differences count: of an even map nothing is left.
        unimportance -= unimportance.min()
        frequency = np.add.outer(np.arange(8), np.arange(8)).ravel() / 7
        rises = strength / 4 * np.minimum(frequency, 1)[jpeg_coefficients.ZIGZAG]
        self._rises = [
            np.outer(plane.ravel(), rises)
            for plane in _by_channel(unimportance, layout)
        ]

    def start(self, size: float) -> tuple[float, Trial]:
        """As of `Trellis`."""
        del size
        tables = jpeg_coefficients.quality_tables(50, self.spectrum.layout.subsampling)
        return 0.8, _trial(jpeg_coefficients.quantise(self.spectrum, tables))

    def allocate(self, scale: float, pressure: float, last: Trial) -> Trial:
        """As of `Trellis`; `pressure` above 1 multiplies the lowest threshold."""
        del last
        channels = range(min(self.spectrum.layout.channels, 2))
        tables = tuple(
            jpeg_coefficients.scale_table(_annex_k(c), scale) for c in channels
        )
        thresholds = []
        for rise in self._rises:
            threshold = (0.5 * pressure + rise).astype(np.float32)
            threshold[:, 0] = 0.5
            thresholds.append(threshold)
        levels = jpeg_coefficients.quantise(self.spectrum, tables, tuple(thresholds))
        return _trial(levels)


@dataclasses.dataclass(frozen=True, eq=False)
class Allocation:
    """A finished file.

    Attributes:
        data: the whole file.
        coefficients: that it holds.
        allocations: how often levels were chosen on the way to it.
    """

    data: bytes
    coefficients: Coefficients
    allocations: int


def fit_size(
    allocator: Trellis | DeadZone,
    target: int,
    finish: Callable[[Coefficients], bytes],
) -> Allocation:
    """Makes the largest file of at most `target` bytes, as far as the search can tell.

    The table's scale is searched by estimated sizes, then the pressure at that table.
    Files made on the way correct the estimate.

    Args:
        allocator: of the image.
        target: in bytes.
        finish: makes the whole file.

    Raises: SemCompError naming the smallest size if the target is out of reach.
    """
    search = _Search(allocator, finish, target)
    tolerance = max(_TOLERANCE, _TOLERANCE_BYTES / target)
    scale, trial = search.find_scale()
    pressure = 0.0
    for _ in range(_MAX_FILES):
        size = search.keep(trial)
        if target * (1 - tolerance) <= size <= target or scale <= 1.01 * _MIN_SCALE:
            break
        # What the estimate must be for the file to be right.
        goal = target * (1 - tolerance / 2) * trial.size / size
        pressure, trial = search.find_pressure(scale, pressure, goal)
    while search.best is None and scale < _MAX_SCALE:
        scale *= 2
        search.keep(search.allocate(scale, 1.0))
    if search.best is None:
        raise errors.SemCompError(
            f"this image cannot be made as small as {target} bytes; its smallest "
            f"file has {search.smallest} bytes, so ask for at least that"
        )
    return Allocation(*search.best, search.allocations)


def fit_score(
    allocator: Trellis | DeadZone,
    goal: float,
    score: Callable[[bytes], float],
    finish: Callable[[Coefficients], bytes],
    guess: int,
) -> Allocation:
    """Makes the smallest file whose score is at least `goal`, as far as it can tell.

    Args:
        allocator: of the image.
        goal: in decibels.
        score: of a file, in decibels; should fall as the table's scale rises.
        finish: makes the whole file.
        guess: about how many bytes the file may take; only where the search begins.

    Raises: SemCompError naming the best score if the goal is out of reach.
    """
    search = _Search(allocator, finish, guess)

    def at(logarithm: float) -> tuple[float, tuple[bytes, Coefficients]]:
        trial = search.allocate(math.exp(logarithm), 1.0)
        data = finish(trial.coefficients)
        return score(data) - goal, (data, trial.coefficients)

    points = _solve(
        at,
        start=math.log(search.scale),
        # About a decibel less for a fifth larger steps.
        slope=-5.0,
        window=(0.0, _SCORE_TOLERANCE),
        bounds=_SCALE_BOUNDS,
    )
    good = [point for point in points if point.excess >= 0]
    if not good:
        best = goal + max(point.excess for point in points)
        raise errors.SemCompError(
            f"no file of this image scores {goal:.2f} dB; the best here has "
            f"{best:.2f} dB, so ask for less"
        )
    smallest = min(good, key=lambda point: len(point.result[0]))
    return Allocation(*smallest.result, search.allocations)


class _Search:
    """What `fit_size` remembers between its steps.

    Attributes:
        scale: to begin with.
        best: the largest file within the target so far and what it holds.
        smallest: size of the smallest file seen.
        allocations: how often levels were allocated.
    """

    def __init__(
        self,
        allocator: Trellis | DeadZone,
        finish: Callable[[Coefficients], bytes],
        target: int,
    ) -> None:
        self.best: tuple[bytes, Coefficients] | None = None
        self.smallest: float = math.inf
        self.allocations = 0
        self._allocator = allocator
        self._finish = finish
        self._target = target
        self.scale, self._last = allocator.start(target)

    def allocate(self, scale: float, pressure: float) -> Trial:
        self.allocations += 1
        self._last = self._allocator.allocate(scale, pressure, self._last)
        return self._last

    def keep(self, trial: Trial) -> int:
        """Makes the file of a trial and returns its size."""
        data = self._finish(trial.coefficients)
        self.smallest = min(self.smallest, len(data))
        fits = len(data) <= self._target
        if fits and (self.best is None or len(data) > len(self.best[0])):
            self.best = data, trial.coefficients
        return len(data)

    def find_scale(self) -> tuple[float, Trial]:
        """A scale whose file comes out at the target or slightly above."""
        points = _solve(
            lambda x: _excess(self.allocate(math.exp(x), 1.0), self._target),
            start=math.log(self.scale),
            slope=-0.9,
            window=(0.0, 0.012),
            bounds=_SCALE_BOUNDS,
        )
        # Pressure above 1 always makes smaller files, below 1 not always larger ones.
        above = [point for point in points if point.excess >= 0]
        best = (above or points)[0]
        self._last = best.result
        return math.exp(best.x), best.result

    def find_pressure(
        self, scale: float, start: float, goal: float
    ) -> tuple[float, Trial]:
        """The logarithm of a pressure whose estimated size is `goal`, and its trial."""
        slope = self._allocator.pressure_slope
        point = _solve(
            lambda x: _excess(self.allocate(scale, math.exp(x)), goal),
            start=start + math.log(goal / self._last.size) / slope,
            slope=slope,
            window=(-_TOLERANCE / 3, _TOLERANCE / 3),
            bounds=(-4.0, 4.0),
            trials=_MAX_PRESSURE_TRIALS,
        )[0]
        self._last = point.result
        return point.x, point.result


def _excess(trial: Trial, goal: float) -> tuple[float, Trial]:
    return math.log(trial.size / goal), trial


@dataclasses.dataclass(frozen=True, eq=False)
class _Point:
    """One evaluation of `_solve`: where, how far above the goal, and what was made."""

    x: float
    excess: float
    result: Any


def _solve(
    function: Callable[[float], tuple[float, Any]],
    *,
    start: float,
    slope: float,
    window: tuple[float, float],
    bounds: tuple[float, float],
    trials: int = _MAX_TRIALS,
) -> list[_Point]:
    """Finds where a falling function lies in a window: secants within a bracket.

    Args:
        function: x -> excess over the goal, and a result to go with it.
        start: first x.
        slope: of the function, negative; used as long as there is one point.
        window: least and largest excess that will do.
        bounds: of x.
        trials: evaluations at most.

    Returns: all points, the one nearest to the window's middle first. The search ends
        in the window, after `trials`, or where the bounds leave no better x.
    """
    middle = sum(window) / 2
    above, below = bounds
    points: list[_Point] = []
    x = min(max(start, bounds[0]), bounds[1])
    for _ in range(trials):
        points.append(_Point(x, *function(x)))
        excess = points[-1].excess
        points.sort(key=lambda point: abs(point.excess - middle))
        if window[0] <= excess <= window[1]:
            break
        if excess > middle:
            above = max(above, x)
        else:
            below = min(below, x)
        slope = _secant(points, slope)
        x = points[0].x - (points[0].excess - middle) / slope
        margin = 0.05 * (below - above)
        if not above + margin < x < below - margin:
            bracketed = above > bounds[0] and below < bounds[1]
            x = (above + below) / 2 if bracketed else min(max(x, above), below)
        if any(abs(x - point.x) < 1e-6 for point in points):
            break
    return points


def _secant(points: list[_Point], slope: float) -> float:
    """The slope through the two best points, within reason; else the one given."""
    if len(points) < 2:
        return slope
    one, other = points[:2]
    found = (other.excess - one.excess) / (other.x - one.x)
    return min(max(found, 4 * slope), slope / 4)


def _trial(coefficients: Coefficients) -> Trial:
    symbols = jpeg_coefficients.count_symbols(coefficients)
    bits = []
    for table, counts in enumerate(symbols):
        lengths = jpeg_coefficients.code_lengths(counts)
        lengths[counts == 0] = _UNSEEN_BITS
        total = lengths + jpeg_coefficients.magnitude_bits(table)
        bits.append(total.astype(np.float32))
    size = jpeg_coefficients.estimate_size(coefficients.layout, symbols)
    return Trial(coefficients, size, tuple(bits))


def _annex_k(channel: int) -> np.ndarray:
    if channel == 0:
        return jpeg_coefficients.LUMINANCE
    return jpeg_coefficients.CHROMINANCE
