"""The tables of a result folder as Markdown: BD-rates, equal rates, speeds, failures.

Measured curves stand first; quoted ones are marked as such.
"""

import os
import pathlib
from collections.abc import Iterable, Sequence

from tfsemcomp import images
from tfsemcomp.evaluation import bd_rate, curves, layout, summary
from tfsemcomp.evaluation.bd_rate import BdRate
from tfsemcomp.evaluation.curves import Curve
from tfsemcomp.evaluation.intervals import Estimate
from tfsemcomp.evaluation.summary import Summary
from tfsemcomp.metrics.registry import Metric

# Bits per pixel at which a table tells the quality: small, usual, good, very good.
TABLE_RATES = (0.25, 0.5, 1.0, 2.0)
_MINUS = "\N{MINUS SIGN}"
_DASH = "\N{EN DASH}"


def write_markdown(
    found: Summary,
    folder: str | os.PathLike[str],
    *,
    title: str = "Image compression results",
    reference: str | None = None,
    figures: Sequence[pathlib.Path] = (),
) -> pathlib.Path:
    """Writes report.md into a result folder.

    Args:
        found: of its table.
        folder: the result folder.
        title: the heading.
        reference: of the BD-rates; see `Summary.reference`.
        figures: in the folder or below it, to show in the text.

    Returns:
        The file's path.

    Raises:
        ValueError: an unknown reference.
        SemCompError: the file cannot be written.
    """
    folder = pathlib.Path(folder)
    pictures = [
        f"![{path.stem}]({path.relative_to(folder).as_posix()})" for path in figures
    ]
    parts = [f"# {title}", *pictures, *sections(found, reference)]
    path = folder / layout.MARKDOWN_NAME
    images.write_atomic(path, ("\n\n".join(parts) + "\n").encode("utf-8"))
    return path


def sections(found: Summary, reference: str | None = None) -> list[str]:
    """All tables with their headings, as paragraphs; see `write_markdown`."""
    reference = found.reference(reference)
    parts = []
    if found.warning():
        parts.append(found.warning())
    parts += [f"## BD-rate against {reference}", bd_rates(found, reference)]
    for metric in found.main_metrics():
        parts += [f"## {metric.label} at equal rates", at_rates(found, metric)]
    parts += ["## Speed", speeds(found)]
    if found.failures:
        parts += ["## Failures", failures(found)]
    if found.circumstances():
        parts += ["## How this was measured", circumstances(found)]
    return parts


def bd_rates(
    found: Summary,
    reference: str,
    metrics: Sequence[Metric] | None = None,
    names: Iterable[str] | None = None,
) -> str:
    """BD-rates in per cent, each with the range of qualities that it holds for.

    Args:
        found: of a table.
        reference: a curve's name; columns are the metrics that it has.
        metrics: None for the main ones.
        names: of the curves, one a row; None for the measured and main quoted ones.

    Returns:
        A table and, where numbers are missing, the reasons.
    """
    chosen = metrics or found.main_metrics()
    anchors = {m.name: found.find(m.name, reference) for m in chosen}
    chosen = [metric for metric in chosen if anchors[metric.name]]
    if names is None:
        names = dict.fromkeys(c.name for m in chosen for c in found.shown(m.name))
    reasons: list[str] = []
    lines = []
    for name in names:
        tests = [found.find(metric.name, name) for metric in chosen]
        cells = [
            _numbered_cell(anchors[metric.name], test, metric, reasons) if test else ""
            for metric, test in zip(chosen, tests, strict=True)
        ]
        if any(cells):
            quoted = not next(filter(None, tests)).measured
            lines.append([_name(name, quoted), *cells])
    head = ["codec", *(metric.label for metric in chosen)]
    notes = [f"({k}) {reason}" for k, reason in enumerate(reasons, start=1)]
    return "\n\n".join([table(head, lines), *notes])


def rate_cell(found: Summary, metric: Metric, reference: str, name: str) -> str:
    """One BD-rate with its range, or why there is none.

    Args:
        found: of a table.
        metric: of which.
        reference: the name of the curve to compare with.
        name: of the curve to judge.

    Returns:
        The text; "" where the metric has no curve of either name.
    """
    anchor, test = (found.find(metric.name, which) for which in (reference, name))
    if not (anchor and test):
        return ""
    comparison = summary.compare(anchor, test)
    if comparison.result is None:
        return f"{_DASH} ({comparison.reason})"
    return _rate_text(comparison.result, metric)


def _rate_text(result: BdRate, metric: Metric) -> str:
    unit = bd_rate.axis_unit(metric.name)
    digits = 1 if unit == "dB" else 3
    span = f"{result.low:.{digits}f}{_DASH}{result.high:.{digits}f} {unit}".strip()
    return f"{signed(result.percent)} % ({span})"


def _numbered_cell(
    anchor: Curve, test: Curve, metric: Metric, reasons: list[str]
) -> str:
    """As `rate_cell`, with a number in place of the reason, which may be long."""
    if anchor.name == test.name:
        return "reference"
    comparison = summary.compare(anchor, test)
    if comparison.result is not None:
        return _rate_text(comparison.result, metric)
    if comparison.reason not in reasons:
        reasons.append(comparison.reason)
    return f"{_DASH} ({reasons.index(comparison.reason) + 1})"


def at_rates(
    found: Summary,
    metric: Metric,
    rates: Sequence[float] = TABLE_RATES,
    names: Iterable[str] | None = None,
) -> str:
    """Quality at equal rates, between the two points around each rate.

    Args:
        found: of a table.
        metric: what to tell.
        rates: in bits per pixel; those that no measured curve reaches are left out.
        names: of the curves, one a row; None for the measured and main quoted ones.
    """
    group = found.shown(metric.name)
    if names is not None:
        group = [found.find(metric.name, name) for name in names]
    group = [curve for curve in group if curve]
    reached = [
        rate
        for rate in rates
        if any(c.measured and summary.at_rate(c, rate) is not None for c in group)
    ]
    digits = 2 if curves.in_decibels(metric.name) or metric.unit == "dB" else 4
    lines = []
    for curve in group:
        values = [summary.at_rate(curve, rate) for rate in reached]
        cells = [_DASH if v is None else f"{v:.{digits}f}" for v in values]
        lines.append([_name(curve.name, not curve.measured), *cells])
    head = [summary.axis_label(metric), *(f"{rate:g} bpp" for rate in reached)]
    return table(head, lines)


def speeds(found: Summary) -> str:
    """Milliseconds a megapixel: the middle setting, and from fastest to slowest."""
    lines = [
        [_name(speed.name, False), _time_cell(speed.encode), _time_cell(speed.decode)]
        for speed in found.speeds
    ]
    return table(["codec", "encode, ms a megapixel", "decode, ms a megapixel"], lines)


def _time_cell(seconds: tuple[float, float, float] | None) -> str:
    if seconds is None:
        return _DASH
    middle, low, high = (_milliseconds(value) for value in seconds)
    return f"{middle} ({low}{_DASH}{high})"


def _milliseconds(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.{1 if value >= 10 else 2}f}"


def failures(found: Summary) -> str:
    """What gave no result, and why."""
    lines = [
        [summary.series(row), row.setting, row.image, row.error]
        for row in found.failures
    ]
    return table(["codec", "setting", "picture", "error"], lines, texts=4)


def circumstances(found: Summary) -> str:
    """What made the results: versions, commit, machine, options."""
    return "\n".join(f"- {name}: {text}" for name, text in found.circumstances())


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, as it is set in text."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return f"\N{PLUS-MINUS SIGN}{text}"
    return f"{'+' if value > 0 else _MINUS}{text}"


def share(found: Estimate | None, is_difference: bool = False) -> str:
    """A share in per cent with its 95 % interval; a dash for None.

    Args:
        found: in [0, 1], or a difference of two such.
        is_difference: set with signs, and in points.
    """
    if found is None:
        return _DASH
    low, high = 100 * found.low, 100 * found.high
    if is_difference:
        return f"{signed(100 * found.value)} ({signed(low)}..{signed(high)})"
    return f"{100 * found.value:.1f} ({low:.1f}..{high:.1f})"


def table(head: Sequence[str], lines: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table; so many columns are text, the others are set to the right."""
    rule = [*["---"] * texts, *["---:"] * (len(head) - texts)]
    return "\n".join(
        f"| {' | '.join(_escape(cell) for cell in line)} |"
        for line in (head, rule, *lines)
    )


def _name(name: str, quoted: bool) -> str:
    return f"*{name}* (quoted)" if quoted else name


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
