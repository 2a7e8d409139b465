"""What the page, the figures and the Markdown tables show of a table, found once.

Curves of every metric with the quoted ones beside them, BD-rates between them, quality
at equal rates, speeds, and what failed.
"""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfsemcomp.errors import UnavailableError
from tfsemcomp.evaluation import anchors, bd_rate, curves
from tfsemcomp.evaluation.bd_rate import Comparison
from tfsemcomp.evaluation.curves import Curve
from tfsemcomp.evaluation.table import Row, Table
from tfsemcomp.metrics import registry
from tfsemcomp.metrics.registry import Metric

AUTO = "auto"
NONE = "none"
# The curve that others are compared with where none is named, if it is there.
_REFERENCE = "jpeg"
# Rates in bits per pixel at which curves are compared; thumbnails to near lossless.
RATES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
# What people look at first, and the order of it.
MAIN_METRICS = (
    "roi_psnr",
    "background_psnr",
    "psnr",
    "psnr_s",
    "ssim",
    "ms_ssim",
    "vifp",
    "psnr_hvsm",
)
# The quoted curves that are drawn unless others are asked for, by data set and metric:
# one of each kind, from JPEG to the best, learned ones as trained for the metric, and
# after rounding to 8 bits where such were published.
_CLASSICAL = (
    "jpeg-pillow7",
    "jpeg2000-openjpeg",
    "webp-pillow7",
    "bpg444-x265",
    "av1-aom",
    "vtm",
)
_DENSE = ("jpeg420-tfc", "jpeg2000-openjpeg", "webp-tfc", "bpg444-tfc")
_HIFIC = "hific (mse+lpips+gan)"
MAIN_QUOTED: dict[str, dict[str, tuple[str, ...]]] = {
    "kodak": {
        "psnr": (
            *_CLASSICAL,
            "bmshj2018-hyperprior-8bit (mse)",
            "mbt2018-8bit (mse)",
            _HIFIC,
        ),
        "ms_ssim": (
            *_CLASSICAL,
            "bmshj2018-hyperprior (ms-ssim)",
            "mbt2018 (ms-ssim)",
            _HIFIC,
        ),
    },
    "tecnick": {
        "psnr": (
            *_DENSE,
            "bmshj2018-hyperprior-paper (mse)",
            "mbt2018-paper (mse)",
        ),
        "ms_ssim": (
            *_DENSE,
            "bmshj2018-hyperprior-paper (ms-ssim)",
            "mbt2018-paper (ms-ssim)",
        ),
    },
}


@dataclasses.dataclass(frozen=True)
class Speed:
    """Seconds a megapixel of one measured curve: means over pictures, by setting.

    Attributes:
        name: of the curve.
        encode: middle, lowest and highest over the settings; None if not measured.
        decode: as `encode`.
    """

    name: str
    encode: tuple[float, float, float] | None
    decode: tuple[float, float, float] | None


@dataclasses.dataclass(frozen=True)
class Summary:
    """A table, ready to be shown.

    Attributes:
        metrics: facts of the columns, those of MAIN_METRICS first.
        curves: by metric, measured ones first; only points of finite quality, and
            quoted ones only where metric and pictures have some.
        dataset: whose quoted curves these are; None for none.
        speeds: of each measured curve.
        failures: rows without results.
        images: names of the pictures.
        meta: the description of the run; see `sweep.run_sweep`.
    """

    metrics: tuple[Metric, ...]
    curves: dict[str, tuple[Curve, ...]]
    dataset: str | None
    speeds: tuple[Speed, ...]
    failures: tuple[Row, ...]
    images: tuple[str, ...]
    meta: Mapping[str, Any]

    def names(self) -> tuple[str, ...]:
        """The measured curves' names."""
        return tuple(speed.name for speed in self.speeds)

    def quoted(self) -> tuple[Curve, ...]:
        """One curve of each quoted name."""
        found = {
            curve.name: curve
            for group in self.curves.values()
            for curve in group
            if not curve.measured
        }
        return tuple(found.values())

    def main_quoted(self, metric: str) -> tuple[str, ...]:
        """Names of the quoted curves that a plot of a metric shows at first."""
        return MAIN_QUOTED.get(self.dataset or "", {}).get(metric, ())

    def set_name(self) -> str:
        """The data set as texts write it; "" for none."""
        return (self.dataset or "").capitalize()

    def warning(self) -> str:
        """What keeps the quoted curves from being a yardstick; "" if nothing does."""
        quoted = self.quoted()
        if not quoted or quoted[0].images == len(self.images):
            return ""
        return (
            f"Quoted curves are means over all {quoted[0].images} pictures of the "
            f"{self.set_name()} set, these over {len(self.images)}: compare shapes, "
            "not values."
        )

    def circumstances(self) -> list[tuple[str, str]]:
        """What made the table, as far as it tells: names and texts."""
        found = {
            "tfsemcomp": self.meta.get("tfsemcomp"),
            "commit": self.meta.get("commit"),
            "machine": self.meta.get("machine"),
            "models": self.meta.get("models"),
            "ROI map": self.meta.get("roi_map"),
            "observers": self.meta.get("observers"),
            "runs of which the median time counts": self.meta.get("repeats"),
            "processes": self.meta.get("workers"),
            "seed": self.meta.get("seed"),
            "versions": self.meta.get("versions"),
        }
        return [(name, _text(value)) for name, value in found.items() if _text(value)]

    def find(self, metric: str, name: str) -> Curve | None:
        """The curve of this name in this metric, if there is one."""
        return next((c for c in self.curves[metric] if c.name == name), None)

    def shown(self, metric: str) -> tuple[Curve, ...]:
        """The measured curves of a metric and the main quoted ones."""
        main = self.main_quoted(metric)
        return tuple(c for c in self.curves[metric] if c.measured or c.name in main)

    def main_metrics(self) -> tuple[Metric, ...]:
        """Those of MAIN_METRICS that there are curves of; else all with curves."""
        drawn = [metric for metric in self.metrics if self.curves[metric.name]]
        main = [metric for metric in drawn if metric.name in MAIN_METRICS]
        return tuple(main or drawn)

    def reference(self, wanted: str | None = None) -> str:
        """The name of the curve that others are compared with.

        Args:
            wanted: that name; None for jpeg, or the first where there is no jpeg.

        Raises:
            ValueError: no curve has the name.
        """
        measured = self.names()
        if wanted is None:
            first = next(iter(measured), "")
            return _REFERENCE if _REFERENCE in measured else first
        known = (*measured, *(curve.name for curve in self.quoted()))
        if wanted not in known:
            raise ValueError(
                f"`reference` must be one of the curves {', '.join(known)}, received "
                f"{wanted!r}."
            )
        return wanted


def summarise(table: Table, *, dataset: str = AUTO) -> Summary:
    """Finds everything there is to show of a table.

    Args:
        table: of a sweep.
        dataset: whose quoted curves to add: one of `anchors.datasets()`, "none", or
            "auto" for the set that the pictures are, if they are one.

    Raises:
        ValueError: an unknown data set.
    """
    if dataset not in (AUTO, NONE, *anchors.datasets()):
        raise ValueError(
            f"`anchors` must be one of {AUTO}, {NONE}, "
            f"{', '.join(anchors.datasets())}, received {dataset!r}."
        )
    images = tuple(dict.fromkeys(row.image for row in table.rows))
    found = anchors.find_dataset(images) if dataset == AUTO else dataset
    found = None if found == NONE else found
    names = _in_order(table.metric_names())
    return Summary(
        metrics=tuple(map(facts, names)),
        curves={name: _curves(table, name, found) for name in names},
        dataset=found,
        speeds=_speeds(table),
        failures=tuple(row for row in table.rows if row.error),
        images=images,
        meta=table.meta,
    )


def series(row: Row) -> str:
    """The name of the curve that a row belongs to."""
    return curves.curve_name(row.codec, row.model, row.variant)


def facts(name: str) -> Metric:
    """Label and unit of a column; of one that nobody knows, its name."""
    try:
        return registry.get(name)
    except ValueError:
        return Metric(name, None, "", True, False, name)


def axis_label(metric: Metric) -> str:
    """What a plot writes beside the values of `curves.quality_axis`."""
    unit = "dB" if curves.in_decibels(metric.name) else metric.unit
    return f"{metric.label} ({unit})" if unit else metric.label


def compare(reference: Curve, test: Curve) -> Comparison:
    """BD-rate of one curve against another, or the reason why there is none."""
    reason = ""
    if reference.name == test.name:
        reason = "the reference"
    elif reference.images != test.images:
        # Means over other pictures: their distance would not be the codecs'.
        reason = f"other pictures: {test.images} against {reference.images}"
    if reason:
        return Comparison(reference, test, None, reason)
    try:
        return bd_rate.compare([reference], [test])[0]
    except (UnavailableError, ValueError) as error:  # no package; an unknown metric
        return Comparison(reference, test, None, str(error))


def at_rate(curve: Curve, rate: float) -> float | None:
    """Quality at a rate, between the two points around it; None beyond the curve.

    Args:
        curve: where to look.
        rate: in bits per pixel.

    Returns:
        Linear over the logarithm of the rate, in the units of `curves.quality_axis`.
    """
    if not curve.rates[0] <= rate <= curve.rates[-1]:
        return None
    values = curves.quality_axis(curve.metric, curve.values)
    return float(np.interp(math.log(rate), np.log(curve.rates), values))


def rates_of(found: Iterable[Curve]) -> tuple[float, ...]:
    """Those of RATES that at least one measured curve reaches."""
    found = [curve for curve in found if curve.measured]
    return tuple(
        rate
        for rate in RATES
        if any(curve.rates[0] <= rate <= curve.rates[-1] for curve in found)
    )


def _text(value: Any) -> str:
    """A part of a description in words; "" if it says nothing."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return "" if value in (None, False) else str(value)


def _in_order(names: Sequence[str]) -> list[str]:
    main = [name for name in MAIN_METRICS if name in names]
    return main + [name for name in names if name not in main]


def _curves(table: Table, metric: str, dataset: str | None) -> tuple[Curve, ...]:
    quoted = anchors.curves(dataset, metric) if dataset else []
    measured = curves.from_table(table, metric)
    # Quoted points alone would be no result.
    found = [*measured, *quoted] if measured else []
    return tuple(filter(None, map(_finite, found)))


def _finite(curve: Curve) -> Curve | None:
    """The points that can be drawn: equal pictures have infinitely many dB."""
    values = curves.quality_axis(curve.metric, curve.values)
    kept = [k for k, value in enumerate(values) if math.isfinite(value)]
    if not kept:
        return None
    return dataclasses.replace(
        curve,
        rates=tuple(curve.rates[k] for k in kept),
        values=tuple(curve.values[k] for k in kept),
    )


def _speeds(table: Table) -> tuple[Speed, ...]:
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        if not row.error and row.bpp:
            groups.setdefault(series(row), []).append(row)
    return tuple(
        Speed(name, _spread(rows, "encode_s"), _spread(rows, "decode_s"))
        for name, rows in groups.items()
    )


def _spread(rows: Iterable[Row], field: str) -> tuple[float, float, float] | None:
    settings: dict[str, list[float]] = {}
    for row in rows:
        seconds = getattr(row, field)
        if seconds is not None:
            pixels = 1e-6 * row.width * row.height
            settings.setdefault(row.setting, []).append(seconds / pixels)
    means = [statistics.fmean(values) for values in settings.values()]
    if not means:
        return None
    return statistics.median(means), min(means), max(means)
