"""Codecs at equal rates, picture by picture: what they keep, and who keeps more.

Files of two codecs have never quite the same size. A codec's value at a rate lies
between its two settings around that rate, linear over the rate's logarithm; rates and
values are means over pictures. Intervals come from drawing the pictures anew: with each
draw the settings' rates are averaged and interpolated anew too, so that how far the
sizes are by chance has its share in the interval.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import intervals, markdown, summary
from tfsemcomp.evaluation.intervals import Draws, Estimate
from tfsemcomp.evaluation.table import Row, Table


@dataclasses.dataclass(frozen=True)
class Samples:
    """One codec's pictures at all of its settings.

    Attributes:
        name: of its curve.
        images: names of the pictures, N.
        rates: float64 [N,S], bits per pixel of the whole file; settings by rising mean.
        values: float64 [N,S].
    """

    name: str
    images: tuple[str, ...]
    rates: np.ndarray
    values: np.ndarray

    def reaches(self, rate: float) -> bool:
        """Whether its mean rates lie around this one."""
        means = self.rates.mean(axis=0)
        return bool(means[0] <= rate <= means[-1])

    def at(self, rate: float, weights: np.ndarray) -> np.ndarray:
        """Values at a rate.

        Args:
            rate: in bits per pixel. Beyond the settings' rates the nearest counts.
            weights: of the pictures, float64 [K,N], rows that sum to 1.

        Returns:
            float64 [K].
        """
        rates, values = np.log(weights @ self.rates), weights @ self.values
        order = np.argsort(rates, axis=1)
        rates = np.take_along_axis(rates, order, axis=1)
        values = np.take_along_axis(values, order, axis=1)
        wanted = np.log(rate)
        pairs = zip(rates, values, strict=True)
        return np.array([np.interp(wanted, *pair) for pair in pairs])


def collect(results: Table, column: str) -> list[Samples]:
    """Pictures that every codec has at every setting.

    Args:
        results: of a sweep.
        column: of it.

    Returns:
        One for each measured curve that has the column, in the table's order; all of
        the same pictures in the same order.

    Raises:
        SemCompError: no picture went through all of them.
    """
    groups: dict[str, dict[str, dict[str, Row]]] = {}
    for row in results.rows:
        if not row.error and row.bpp and column in row.metrics:
            settings = groups.setdefault(summary.series(row), {})
            settings.setdefault(row.setting, {})[row.image] = row
    held = [by_image for found in groups.values() for by_image in found.values()]
    common = set.intersection(*map(set, held)) if held else set()
    if not common:
        raise SemCompError(
            f"no picture has {column} from all codecs at all settings; see the errors "
            "in the table."
        )
    order = sorted(common)
    return [_samples(name, found, order, column) for name, found in groups.items()]


def _samples(
    name: str, settings: dict[str, dict[str, Row]], order: list[str], column: str
) -> Samples:
    rates = np.array([[found[i].bpp for found in settings.values()] for i in order])
    values = np.array(
        [[found[i].metrics[column] for found in settings.values()] for i in order]
    )
    rising = np.argsort(rates.mean(axis=0), kind="stable")
    return Samples(name, tuple(order), rates[:, rising], values[:, rising])


@dataclasses.dataclass(frozen=True)
class AtRate:
    """All codecs at one rate, on the same draws of pictures.

    Attributes:
        rate: in bits per pixel.
        names: of the codecs' curves.
        reached: whether the codec's files reach the rate, by codec.
        values: float64 [1 + draws, codecs], of all pictures and of each draw.
        originals: float64 [1 + draws], the same of the originals; None if unknown.
    """

    rate: float
    names: tuple[str, ...]
    reached: tuple[bool, ...]
    values: np.ndarray
    originals: np.ndarray | None

    def value(self, name: str) -> Estimate | None:
        """A codec's mean; None if its files do not reach the rate."""
        index = self.names.index(name)
        if not self.reached[index]:
            return None
        return intervals.percentile(self.values[:, index])

    def difference(self, name: str, other: str) -> Estimate | None:
        """How far a codec is above another; None if the rate is beyond either."""
        indexes = self.names.index(name), self.names.index(other)
        if not all(self.reached[index] for index in indexes):
            return None
        one, two = (self.values[:, index] for index in indexes)
        return intervals.percentile(one - two)

    def preserved(self, name: str) -> Estimate | None:
        """A codec's share of the originals' value.

        Returns:
            Of accuracies the preserved accuracy of arXiv 1910.03472; None if the rate
            is out of reach, or the originals' value is unknown or 0.
        """
        index = self.names.index(name)
        if self.originals is None or not self.originals[0] or not self.reached[index]:
            return None
        # Draws in which no original is recognised have no such share.
        known = self.originals > 0
        return intervals.percentile(self.values[known, index] / self.originals[known])


def at_rate(
    found: Sequence[Samples],
    rate: float,
    draws: Draws,
    originals: Mapping[str, float] | None = None,
) -> AtRate:
    """Brings codecs to one rate.

    Args:
        found: of one call of `collect`.
        rate: in bits per pixel.
        draws: of pictures.
        originals: the originals' values, by picture.

    Raises:
        ValueError: a rate that is not above 0, or codecs of different pictures.
    """
    if not rate > 0:
        raise ValueError(f"`rate` must be above 0, received {rate}.")
    pictures = {samples.images for samples in found}
    if len(pictures) != 1:
        raise ValueError("`found` must be codecs of the same pictures, in one order.")
    (images,) = pictures
    columns = [lambda weights, s=samples: s.at(rate, weights) for samples in found]
    if originals is not None:
        values = np.array([originals[image] for image in images], np.float64)
        columns.append(lambda weights: weights @ values)

    def statistic(weights: np.ndarray) -> np.ndarray:
        return np.stack([column(weights) for column in columns], axis=1)

    drawn = intervals.bootstrap(statistic, len(images), draws)
    return AtRate(
        rate,
        tuple(samples.name for samples in found),
        tuple(samples.reaches(rate) for samples in found),
        drawn[:, : len(found)],
        None if originals is None else drawn[:, -1],
    )


def to_markdown(columns: Mapping[str, AtRate]) -> str:
    """Means at a rate in per cent, with intervals, and what is left of the originals'.

    Args:
        columns: by name, all of the same codecs.
    """
    head, lines = ["codec"], [[name] for name in next(iter(columns.values())).names]
    for column, found in columns.items():
        head.append(column)
        for line in lines:
            line.append(markdown.share(found.value(line[0])))
        if found.originals is not None:
            head.append(f"{column}, of the original's")
            for line in lines:
                line.append(markdown.share(found.preserved(line[0])))
    return markdown.table(head, lines)


def differences_to_markdown(found: AtRate) -> str:
    """Differences of all pairs in points, with intervals: row less column."""
    lines = [
        [name]
        + [
            "" if other == name else markdown.share(found.difference(name, other), True)
            for other in found.names
        ]
        for name in found.names
    ]
    return markdown.table(["", *found.names], lines)


def to_json(found: AtRate) -> dict[str, Any]:
    """All estimates at a rate in JSON types; null for what is not reached."""

    def plain(estimate: Estimate | None) -> dict[str, float] | None:
        return None if estimate is None else dataclasses.asdict(estimate)

    return {
        "rate": found.rate,
        "values": {name: plain(found.value(name)) for name in found.names},
        "of_original": {name: plain(found.preserved(name)) for name in found.names},
        "differences": {
            name: {
                other: plain(found.difference(name, other))
                for other in found.names
                if other != name
            }
            for name in found.names
        },
    }
