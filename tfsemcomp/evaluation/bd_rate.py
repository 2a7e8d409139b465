"""Bjontegaard deltas: how much rate, or quality, one curve saves over another.

The mean distance between two rate-distortion curves, over the qualities (`bd_rate`) or
the rates (`bd_quality`) that both reach, on a logarithmic axis of rates. Curves are
interpolated piecewise by cubics, Akima's or PCHIP; the rates of two curves need be
neither equal nor equally many.

Rules, applied to each curve first:

    infinite values (pictures that came back unchanged) are left out;
    MS-SSIM counts in dB (`curves.quality_axis`);
    the running best stays: a point that costs more than another and is no better, or
    costs the same and is worse, is left out, so that quality rises with the rate.

A result tells the range that it holds for. It is refused where either curve has fewer
than 4 points left, or where the common range is less than half of the shorter curve's
own (`MIN_SHARE`): most of that curve would then have no say.

Sources: G. Bjontegaard, VCEG-M33 (2001); C. Herglotz et al., "The Bjontegaard bible",
IEEE TIP 2024, for the interpolation; computed by their package `bjontegaard`.
"""

import dataclasses
import math
from collections.abc import Sequence
from types import ModuleType

from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.evaluation import curves
from tfsemcomp.evaluation.curves import Curve
from tfsemcomp.metrics import registry

METHODS = ("akima", "pchip")
MIN_POINTS = 4
MIN_SHARE = 0.5
# The package would refuse curves of unequal length and warn of what is checked here.
_OPTIONS = {"require_matching_points": False, "min_overlap": 0}


@dataclasses.dataclass(frozen=True)
class BdRate:
    """The rate of one curve relative to another's at equal quality.

    Attributes:
        percent: mean difference of the rates in per cent; negative saves bits.
        low: the range of qualities that both curves reach: its lower end, in the
            metric's unit (MS-SSIM: dB).
        high: its upper end.
        share: that range as a part of the shorter curve's own, in (0, 1].
    """

    percent: float
    low: float
    high: float
    share: float


@dataclasses.dataclass(frozen=True)
class BdQuality:
    """The quality of one curve relative to another's at equal rate.

    Attributes:
        difference: mean difference in the metric's unit (MS-SSIM: dB), test minus
            anchor.
        low: the range of rates that both curves reach: its lower end, in bpp.
        high: its upper end.
        share: that range as a part of the shorter curve's own, both on the
            logarithmic axis, in (0, 1].
    """

    difference: float
    low: float
    high: float
    share: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One cell of a table of BD-rates.

    Attributes:
        anchor: the curve that the other is compared with.
        test: that other curve.
        result: None where it was refused.
        reason: why it was; "" where it was not.
    """

    anchor: Curve
    test: Curve
    result: BdRate | None
    reason: str = ""


def bd_rate(anchor: Curve, test: Curve, method: str = "akima") -> BdRate:
    """How many more bits `test` takes than `anchor` at equal quality.

    Args:
        anchor: the curve to compare with.
        test: the curve to judge, of the same metric.
        method: "akima" or "pchip".

    Returns:
        The difference in per cent and the range of qualities that it holds for.

    Raises:
        ValueError: two metrics, an unknown one, or an unknown method.
        SemCompError: too few points, or too small a common range; see the module.
        UnavailableError: the package `bjontegaard` is not installed.
    """
    sign = _check(anchor, test, method)
    points = _best(anchor, sign), _best(test, sign)
    spans = [(values[0], values[-1]) for _, values in points]
    low, high, share = _overlap(anchor, test, spans)
    percent = _package().bd_rate(*points[0], *points[1], method, **_OPTIONS)
    low, high = sorted((sign * low, sign * high))
    return BdRate(float(percent), low, high, share)


def bd_quality(anchor: Curve, test: Curve, method: str = "akima") -> BdQuality:
    """How far the values of `test` are above those of `anchor` at equal rate.

    BD-PSNR, where the metric is PSNR.

    Args:
        anchor: the curve to compare with.
        test: the curve to judge, of the same metric.
        method: "akima" or "pchip".

    Returns:
        The difference in the metric's unit and the range of rates that it holds for.

    Raises:
        As `bd_rate`.
    """
    sign = _check(anchor, test, method)
    points = _best(anchor, sign), _best(test, sign)
    spans = [(math.log10(rates[0]), math.log10(rates[-1])) for rates, _ in points]
    low, high, share = _overlap(anchor, test, spans)
    better = _package().bd_psnr(*points[0], *points[1], method, **_OPTIONS)
    return BdQuality(sign * float(better), 10.0**low, 10.0**high, share)


def compare(
    anchors: Sequence[Curve], tests: Sequence[Curve], method: str = "akima"
) -> list[Comparison]:
    """BD-rates of every test against every anchor, refused ones with their reason.

    Args:
        anchors: curves to compare with.
        tests: curves to judge, of the same metric.
        method: "akima" or "pchip".

    Returns:
        Comparisons, test by test.

    Raises:
        ValueError, UnavailableError: as `bd_rate`.
    """
    found = []
    for test in tests:
        for anchor in anchors:
            try:
                result, reason = bd_rate(anchor, test, method), ""
            except UnavailableError:
                raise
            except SemCompError as error:
                result, reason = None, str(error)
            found.append(Comparison(anchor, test, result, reason))
    return found


def to_text(comparisons: Sequence[Comparison]) -> str:
    """Comparisons as plain text, one a line: saving, range, or why there is none."""
    names = [f"{c.test.name} vs {c.anchor.name}" for c in comparisons]
    width = max(map(len, names), default=0)
    lines = []
    for name, comparison in zip(names, comparisons, strict=True):
        found = comparison.result
        if found is None:
            lines.append(f"{name:{width}}  {'-':>8}    {comparison.reason}")
            continue
        unit = f" {axis_unit(comparison.test.metric)}".rstrip()
        lines.append(
            f"{name:{width}}  {found.percent:+7.1f} %  over {found.low:.4g} to "
            f"{found.high:.4g}{unit}, {100 * found.share:.0f} % of the shorter curve"
        )
    return "".join(line + "\n" for line in lines)


def axis_unit(metric: str) -> str:
    """The unit of the qualities that are compared: "dB", or "" for none."""
    return "dB" if curves.in_decibels(metric) else registry.get(metric).unit


def _check(anchor: Curve, test: Curve, method: str) -> int:
    """Checks the arguments; 1 where more of the metric is better, -1 where less is."""
    if method not in METHODS:
        raise ValueError(
            f"`method` must be one of {', '.join(METHODS)}, received {method!r}."
        )
    if anchor.metric != test.metric:
        raise ValueError(
            f"`anchor` and `test` must have one metric, received {anchor.metric} and "
            f"{test.metric}."
        )
    return 1 if registry.get(anchor.metric).higher_is_better else -1


def _best(curve: Curve, sign: int) -> tuple[list[float], list[float]]:
    """The running best: rates and qualities, both rising."""
    values = curves.quality_axis(curve.metric, curve.values)
    points = [(r, sign * v) for r, v in zip(curve.rates, values, strict=True)]
    kept: list[tuple[float, float]] = []
    for rate, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if math.isfinite(value) and (not kept or value > kept[-1][1]):
            kept.append((rate, value))
    if len(kept) < MIN_POINTS:
        raise SemCompError(
            f"{curve.name} has {len(kept)} points of rising {curve.metric}, a "
            f"Bjontegaard delta needs {MIN_POINTS}: measure it at more qualities."
        )
    rates, qualities = zip(*kept, strict=True)
    return list(rates), list(qualities)


def _overlap(
    anchor: Curve, test: Curve, spans: Sequence[tuple[float, float]]
) -> tuple[float, float, float]:
    """The range common to two, and its share of the shorter one."""
    low, high = max(span[0] for span in spans), min(span[1] for span in spans)
    share = max(0.0, high - low) / min(end - start for start, end in spans)
    if share < MIN_SHARE:
        raise SemCompError(
            f"{test.name} and {anchor.name} have {100 * share:.0f} % of the shorter "
            f"curve in common, a Bjontegaard delta needs {100 * MIN_SHARE:.0f} %: "
            "measure them at more alike qualities."
        )
    return low, high, share


def _package() -> ModuleType:
    try:
        import bjontegaard
    except ImportError as error:
        raise UnavailableError(
            "Bjontegaard deltas need bjontegaard: pip install 'tfsemcomp[bench]'"
        ) from error
    return bjontegaard
