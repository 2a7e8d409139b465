"""Rate-distortion curves: made from a results table, or quoted (anchors.py)."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

from absl import logging

from tfsemcomp.evaluation.table import Row, Table


@dataclasses.dataclass(frozen=True)
class Curve:
    """One codec's quality over its rate, one metric, means over pictures.

    Attributes:
        name: of the codec, its model and its settings.
        metric: a column of the table, a key of `tfsemcomp.metrics.METRICS` mostly.
        rates: bits of the whole file per pixel, above 0, never falling.
        values: of the metric, one for each rate; infinite where pictures came back
            unchanged.
        measured: True for curves of a table, False for quoted ones.
        source: what measured it, or where it is quoted from.
        images: how many pictures each point is the mean of.
    """

    name: str
    metric: str
    rates: tuple[float, ...]
    values: tuple[float, ...]
    measured: bool
    source: str
    images: int

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.values) or not self.rates:
            raise ValueError(
                f"`rates` and `values` of {self.name} must be equally many and not "
                f"none, received {len(self.rates)} and {len(self.values)}."
            )
        if any(math.isnan(value) for value in (*self.rates, *self.values)):
            raise ValueError(f"`rates` and `values` of {self.name} hold NaN.")
        if self.rates[0] <= 0 or list(self.rates) != sorted(self.rates):
            raise ValueError(
                f"`rates` of {self.name} must be above 0 and never fall, received "
                f"{self.rates}."
            )


def from_table(table: Table, metric: str) -> list[Curve]:
    """The measured curves of a table: one for each codec, model and further settings.

    A point is the mean over pictures of their bits per pixel and of their values, at
    one setting. All points of a curve are means over the same pictures: those that
    every setting has a value for. A setting that failed on all pictures is left out.

    Args:
        table: of a sweep.
        metric: one of its columns.

    Returns:
        Curves in the order of the table; none where no row has the metric.
    """
    version = table.meta.get("tfsemcomp", "")
    source = f"measured with tfsemcomp {version}".rstrip()
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in table.rows:
        groups.setdefault((row.codec, row.model, row.variant), []).append(row)
    found = []
    for key, rows in groups.items():
        name = curve_name(*key)
        points, images = _means(rows, metric, name)
        if points:
            rates, values = zip(*sorted(points), strict=True)
            found.append(Curve(name, metric, rates, values, True, source, images))
    return found


def curve_name(codec: str, model: str = "", variant: str = "") -> str:
    """How a curve is called: its codec, its model, and its settings in brackets."""
    name = f"{codec} {model}" if model else codec
    return f"{name} ({variant})" if variant else name


def _means(
    rows: Iterable[Row], metric: str, name: str
) -> tuple[list[tuple[float, float]], int]:
    """Points (bpp, value) over the pictures common to all, and how many those are."""
    settings: dict[str, dict[str, Row]] = {}
    for row in rows:
        value = row.metrics.get(metric)
        if not row.error and row.bpp and value is not None and not math.isnan(value):
            settings.setdefault(row.setting, {})[row.image] = row
    if not settings:
        return [], 0
    common = set.intersection(*(set(by_image) for by_image in settings.values()))
    if not common:
        logging.warning(
            "%s: no picture has %s at all %d settings: no curve.",
            name,
            metric,
            len(settings),
        )
        return [], 0
    points = []
    for by_image in settings.values():
        chosen = [row for image, row in by_image.items() if image in common]
        rate = math.fsum(row.bpp for row in chosen) / len(chosen)
        value = math.fsum(row.metrics[metric] for row in chosen) / len(chosen)
        points.append((rate, value))
    return points, len(common)


def in_decibels(metric: str) -> bool:
    """Whether `quality_axis` turns a metric into dB: every MS-SSIM not in dB yet."""
    return "ms_ssim" in metric and not metric.endswith("_db")


def quality_axis(metric: str, values: Sequence[float]) -> tuple[float, ...]:
    """Values as they are compared and drawn: MS-SSIM in dB, others as they are.

    MS-SSIM crowds near 1, where it matters: -10 log10(1 - v) spreads it. 1 becomes
    infinite.

    Args:
        metric: the column that the values are of.
        values: of it.

    Returns:
        As many values; in dB if `in_decibels(metric)`.

    Raises:
        ValueError: an MS-SSIM above 1.
    """
    if not in_decibels(metric):
        return tuple(values)
    if max(values, default=0.0) > 1.0:
        raise ValueError(
            f"`values` of {metric} must be at most 1, received {max(values)}."
        )
    return tuple(
        math.inf if value == 1.0 else -10.0 * math.log10(1.0 - value)
        for value in values
    )
