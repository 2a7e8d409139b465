"""Edges against those that several people drew, in the manner of BSDS500's benchmark.

Source: Arbelaez, Maire, Fowlkes, Malik, "Contour detection and hierarchical image
segmentation", IEEE TPAMI 33(5), 2011, section 3.1. There each person's edges are paired
with the found ones, one to one. Here an edge is right where the other side has one
within the tolerance, which needs no more than the mean of people's maps; values compare
with one another only.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

# Tolerance as a share of the picture's diagonal.
TOLERANCE = 0.0075


@dataclasses.dataclass(frozen=True)
class Counts:
    """Edges of one picture or, added up, of many.

    Attributes:
        right: found edge pixels that somebody drew.
        found: all found edge pixels.
        recalled: drawn edge pixels that were found, in persons' shares.
        drawn: all drawn edge pixels, in persons' shares.
    """

    right: float = 0.0
    found: float = 0.0
    recalled: float = 0.0
    drawn: float = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Counts(*(a + b for a, b in pairs))

    @property
    def precision(self) -> float:
        """Share of the found ones that is right; 1 if nothing was found."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of the drawn ones that was found; 1 if nothing was drawn."""
        return self.recalled / self.drawn if self.drawn else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 if both are 0."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a sweep of thresholds amounts to.

    Attributes:
        ods: F1 at the one threshold that is best for all pictures together.
        best: its place among the thresholds.
        precision, recall: there.
        ois: F1 with the best threshold of each picture.
        average_precision: area below the curve of precision over recall, as far as
            recall goes.
    """

    ods: float
    best: int
    precision: float
    recall: float
    ois: float
    average_precision: float


def count(drawn: np.ndarray, edges: np.ndarray, radius: float | None = None) -> Counts:
    """Compares edges with what people drew.

    Args:
        drawn: float [H,W] in [0, 1], the share of people who drew an edge at a pixel.
        edges: uint8 [H,W] of 0 and 1.
        radius: tolerance in px, >= 0; None for `TOLERANCE` of the diagonal.
    Returns: a found edge is right if anybody drew one within the radius; each drawn
        one counts by its share.
    Raises:
        ValueError: maps of another type or size, or a negative radius.
    """
    for name, plane, kind in (("drawn", drawn, "f"), ("edges", edges, "u")):
        if plane.ndim != 2 or plane.dtype.kind != kind:
            raise ValueError(
                f"`{name}` must be {'float' if kind == 'f' else 'uint8'} [H,W]; got "
                f"{plane.dtype} {list(plane.shape)}."
            )
    if drawn.shape != edges.shape:
        raise ValueError(
            f"`edges` must have the size of `drawn`, {list(drawn.shape)}; got "
            f"{list(edges.shape)}."
        )
    if radius is None:
        radius = TOLERANCE * math.hypot(*drawn.shape)
    if not 0 <= radius < math.inf:
        raise ValueError(f"`radius` must be finite and at least 0; got {radius}.")
    from tfsemcomp.metrics import kernels

    found = edges > 0
    near_drawn = kernels.near(drawn > 0, radius)
    near_found = kernels.near(found, radius)
    return Counts(
        float((found & near_drawn).sum()),
        float(found.sum()),
        float(drawn[near_found].sum(dtype=np.float64)),
        float(drawn.sum(dtype=np.float64)),
    )


def score(counts: Sequence[Sequence[Counts]]) -> Scores:
    """What a sweep amounts to.

    Args:
        counts: of each picture at each threshold, in the same order; at least one.
    Raises:
        ValueError: no picture, no threshold, or not as many for each picture.
    """
    lengths = {len(row) for row in counts}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            "`counts` must have as many thresholds for each picture, at least one; got "
            f"{sorted(lengths)}."
        )
    totals = [sum(column, Counts()) for column in zip(*counts, strict=True)]
    best = max(range(len(totals)), key=lambda place: totals[place].f1)
    own = sum((max(row, key=lambda found: found.f1) for row in counts), Counts())
    return Scores(
        totals[best].f1,
        best,
        totals[best].precision,
        totals[best].recall,
        own.f1,
        _area([(total.recall, total.precision) for total in totals]),
    )


def _area(curve: list[tuple[float, float]]) -> float:
    """Area below a curve of precision over recall, linear between its points."""
    recall, precision = np.array(sorted(curve)).T
    steps = np.diff(recall)
    return float((steps * (precision[1:] + precision[:-1]) / 2).sum())
