"""Plots of a result folder for print: curves of each metric, speed against quality.

`write_dials` draws what a codec gives to human and to machine observers instead.

Measured curves are solid with filled marks, quoted ones dashed with hollow marks.
Needs matplotlib (extra `bench`). The same table gives the same bytes.
"""

import dataclasses
import io
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import images
from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.evaluation import curves, summary
from tfsemcomp.evaluation.curves import Curve
from tfsemcomp.evaluation.intervals import Estimate
from tfsemcomp.evaluation.summary import Speed, Summary
from tfsemcomp.metrics.registry import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
RATE_SCALES = ("linear", "log2")
# Told apart by most people with colour blindness; marks repeat in another rhythm.
_COLOURS = (
    "#2a78d6",
    "#eb6834",
    "#1baf7a",
    "#b97a00",
    "#d55181",
    "#4a3aa7",
    "#008300",
    "#6b6f76",
)
_MARKS = "os^Dv"
_LEVEL = "#444444"
_SIZE_INCHES = (7.0, 3.9)
# Of a line of the legend, beside which the plot stands.
_LINE_INCHES = 0.18
# More decades than these have labels at whole powers of ten only.
_MOST_DECADES = 1.5
_DPI = 150
_MARGIN = 0.05
# At equal quality of which metric the speed plot counts bits.
_SPEED_METRIC = "psnr"
# Points of dense sweeps are a line, not marks.
_MOST_MARKS = 24
_STYLE = {
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    # Text stays text: small files, and searchable.
    "svg.fonttype": "none",
    # Identifiers that are the same in every run.
    "svg.hashsalt": "tfsemcomp",
}


def write_figures(
    found: Summary,
    folder: str | os.PathLike[str],
    *,
    reference: str | None = None,
    prefix: str = "",
    formats: Sequence[str] = FORMATS,
    rate_scale: str = "linear",
    levels: Mapping[str, float] | None = None,
) -> list[pathlib.Path]:
    """Draws the curves of each main metric, and speed against bits saved.

    Args:
        found: of a table.
        folder: where the files go; it is made if it is not there.
        reference: the curve against which bits are saved; see `Summary.reference`.
        prefix: of the files' names.
        formats: of FORMATS.
        rate_scale: of the axis of rates: "linear", or "log2", where each step to the
            right is a file twice as large.
        levels: values of the originals, by metric: a dashed line each.

    Returns:
        The files: PREFIXrd_METRIC.FORMAT, then PREFIXspeed.FORMAT if there are speeds.

    Raises:
        ValueError: an unknown reference or format.
        UnavailableError: matplotlib is not installed.
        SemCompError: the folder cannot be written.
    """
    if rate_scale not in RATE_SCALES:
        raise ValueError(
            f"`rate_scale` must be one of {', '.join(RATE_SCALES)}, received "
            f"{rate_scale!r}."
        )
    reference = found.reference(reference)
    drawn = _figures(found, reference, rate_scale, levels or {})
    return _write(drawn, folder, prefix, formats)


@dataclasses.dataclass(frozen=True)
class Dial:
    """One quantity over the weight of the machine observer.

    Attributes:
        label: of its axis.
        lines: (weight, estimate) pairs by the name of what has such a weight.
        levels: estimates by name of what has none.
    """

    label: str
    lines: Mapping[str, Sequence[tuple[float, Estimate]]]
    levels: Mapping[str, Estimate]


def write_dials(
    dials: Sequence[Dial],
    folder: str | os.PathLike[str],
    *,
    name: str = "tradeoff",
    formats: Sequence[str] = FORMATS,
) -> list[pathlib.Path]:
    """Draws what is won for machines and lost for humans, side by side.

    Args:
        dials: a plot each.
        folder: where the files go; it is made if it is not there.
        name: of the files.
        formats: of FORMATS.

    Returns:
        The files.

    Raises:
        As `write_figures`.
    """
    return _write(_dials_figures(dials, name), folder, "", formats)


def _write(
    drawn: "Iterable[tuple[str, Figure]]",
    folder: str | os.PathLike[str],
    prefix: str,
    formats: Sequence[str],
) -> list[pathlib.Path]:
    """Writes figures, which are drawn one by one, in our style."""
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(
            f"`formats` must be of {', '.join(FORMATS)}, received {', '.join(unknown)}."
        )
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemCompError(f"cannot make the folder {folder}: {error}.") from error
    matplotlib = _matplotlib()
    written = []
    with matplotlib.rc_context(_STYLE):
        for name, figure in drawn:
            # Laid out once for all formats, which takes longer than to draw.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            for kind in formats:
                path = folder / f"{prefix}{name}.{kind}"
                images.write_atomic(path, _encode(figure, kind))
                written.append(path)
    return written


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise UnavailableError(
            "figures need matplotlib: pip install 'tfsemcomp[bench]'"
        ) from error
    return matplotlib


def _figures(
    found: Summary, reference: str, rate_scale: str, levels: Mapping[str, float]
) -> Iterator[tuple[str, "Figure"]]:
    styles = _styles(found)
    for metric in found.main_metrics():
        name = re.sub(r"[^\w-]", "_", metric.name)
        figure = _curves_figure(
            found.shown(metric.name),
            metric,
            styles,
            rate_scale,
            levels.get(metric.name),
        )
        yield f"rd_{name}", figure
    for metric in found.main_metrics():
        saved = _saved(found, metric, reference)
        if metric.name == _SPEED_METRIC and any(s.name in saved for s in found.speeds):
            yield "speed", _speed_figure(found, metric, reference, saved, styles)


def _encode(figure: "Figure", kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "svg":
        # No date, so that files change only with the results.
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()
    from PIL import Image

    figure.savefig(file, format="raw", dpi=_DPI)
    width, height = figure.canvas.get_width_height()
    size = (round(width * _DPI / figure.dpi), round(height * _DPI / figure.dpi))
    picture = Image.frombytes("RGBA", size, file.getvalue()).convert("RGB")
    # A palette holds all colours of a plot in a third of the bytes.
    file = io.BytesIO()
    picture.quantize(256).save(file, "PNG", optimize=True)
    return file.getvalue()


def _styles(found: Summary) -> dict[str, dict[str, Any]]:
    """Colour and mark of each curve, the same in all figures."""
    names = [*found.names(), *(curve.name for curve in found.quoted())]
    shown = {c.name for group in found.curves for c in found.shown(group)}
    return _styles_of(name for name in names if name in shown)


def _styles_of(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "color": _COLOURS[index % len(_COLOURS)],
            "marker": _MARKS[index % len(_MARKS)],
        }
        for index, name in enumerate(names)
    }


def _new_figure() -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=_SIZE_INCHES, layout="constrained")


def _curves_figure(
    group: Sequence[Curve],
    metric: Metric,
    styles: dict[str, dict[str, Any]],
    rate_scale: str,
    level: float | None,
) -> "Figure":
    figure = _new_figure()
    axes = figure.add_subplot()
    if level is not None:
        axes.axhline(level, color=_LEVEL, linestyle="--", linewidth=1, label="original")
    for curve in group:
        values = curves.quality_axis(curve.metric, curve.values)
        axes.plot(curve.rates, values, **_line(curve, styles[curve.name]))
    _fit(axes, group, rate_scale, level)
    axes.set_xlabel("bits per pixel")
    axes.set_ylabel(summary.axis_label(metric))
    _add_legend(figure)
    return figure


def _add_legend(figure: "Figure", *entries: Iterable[Any]) -> None:
    """At the right, of what has labels or of handles and labels; the figure grows."""
    legend = figure.legend(*entries, loc="outside right upper")
    needed = _LINE_INCHES * (len(legend.get_texts()) + 1)
    figure.set_figheight(max(_SIZE_INCHES[1], needed))


def _line(curve: Curve, style: dict[str, Any]) -> dict[str, Any]:
    if curve.measured:
        return {**style, "label": curve.name, "markersize": 4, "linewidth": 1.5}
    dense = len(curve.rates) > _MOST_MARKS
    return {
        **style,
        "label": f"{curve.name}, quoted",
        "linestyle": "--",
        "linewidth": 1,
        "marker": "" if dense else style["marker"],
        "markerfacecolor": "white",
        "markersize": 3.5,
        "zorder": 1,
    }


def _fit(
    axes: "Axes", group: Sequence[Curve], rate_scale: str, level: float | None
) -> None:
    """Shows the rates that were measured, and what lies there."""
    rates = [rate for curve in group if curve.measured for rate in curve.rates]
    if rate_scale == "log2":
        _label_plainly(axes, base=2)
        pad = (max(rates) / min(rates)) ** _MARGIN if len({*rates}) > 1 else 2**_MARGIN
        low, high = min(rates) / pad, max(rates) * pad
    else:
        pad = _MARGIN * (max(rates) - min(rates)) or _MARGIN
        low, high = max(0.0, min(rates) - pad), max(rates) + pad
    values = [
        value
        for curve in group
        for rate, value in zip(
            curve.rates, curves.quality_axis(curve.metric, curve.values), strict=True
        )
        if low <= rate <= high
    ]
    values += [] if level is None else [level]
    pad = _MARGIN * (max(values) - min(values)) or _MARGIN
    axes.set_xlim(low, high)
    axes.set_ylim(min(values) - pad, max(values) + pad)


def _label_plainly(axes: "Axes", base: int = 10) -> None:
    """A logarithmic axis from left to right, labelled by plain numbers."""
    from matplotlib import ticker

    axes.set_xscale("log", base=base)
    low, high = axes.get_xlim()
    steps = (1.0, 2.0, 5.0) if base == 10 else (1.0, 1.5)
    if base == 10 and high > low * base**_MOST_DECADES:
        steps = (1.0,)
    axes.xaxis.set_major_locator(ticker.LogLocator(base, steps, numticks=12))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())


def _speed_figure(
    found: Summary,
    metric: Metric,
    reference: str,
    saved: dict[str, float],
    styles: dict[str, dict[str, Any]],
) -> "Figure":
    """Two plots, encoding and decoding: time from fastest to slowest setting."""
    figure = _new_figure()
    for place, field in enumerate(("encode", "decode"), start=1):
        axes = figure.add_subplot(1, 2, place)
        for speed in found.speeds:
            seconds = getattr(speed, field)
            if seconds is not None and speed.name in saved:
                _draw_speed(axes, speed, seconds, saved[speed.name], styles)
        _label_plainly(axes)
        axes.set_xlabel(f"ms a megapixel to {field}")
        if place == 1:
            axes.set_ylabel(
                f"bits saved against {reference}, %\n(equal {metric.label})"
            )
            _add_legend(figure)
    return figure


def _saved(found: Summary, metric: Metric, reference: str) -> dict[str, float]:
    """Bits saved in per cent, by curve."""
    anchor = found.find(metric.name, reference)
    saved = {reference: 0.0} if anchor else {}
    for curve in found.curves[metric.name] if anchor else ():
        result = summary.compare(anchor, curve).result
        if result is not None:
            saved[curve.name] = -result.percent
    return saved


def _draw_speed(
    axes: "Axes",
    speed: Speed,
    seconds: tuple[float, float, float],
    saved: float,
    styles: dict[str, dict[str, Any]],
) -> None:
    middle, low, high = (1000 * value for value in seconds)
    style = styles[speed.name]
    axes.plot([low, high], [saved, saved], color=style["color"], linewidth=1.5)
    axes.plot([middle], [saved], **style, linestyle="", label=speed.name, markersize=6)


def _dials_figures(dials: Sequence[Dial], name: str) -> Iterator[tuple[str, "Figure"]]:
    yield name, _dials_figure(dials)


def _dials_figure(dials: Sequence[Dial]) -> "Figure":
    """A plot for each dial: lines over the weight, levels of what has none."""
    named = [name for dial in dials for name in (*dial.lines, *dial.levels)]
    styles = _styles_of(dict.fromkeys(named))
    figure = _new_figure()
    handles: dict[str, Any] = {}
    for place, dial in enumerate(dials, start=1):
        axes = figure.add_subplot(1, len(dials), place)
        for name, points in dial.lines.items():
            weights, found = zip(*sorted(points, key=lambda p: p[0]), strict=True)
            values = [estimate.value for estimate in found]
            reach = [
                [estimate.value - estimate.low for estimate in found],
                [estimate.high - estimate.value for estimate in found],
            ]
            handles[name] = axes.errorbar(
                weights, values, reach, **styles[name], markersize=5, capsize=2
            )
        for name, level in dial.levels.items():
            handles[name] = axes.axhline(
                level.value, color=styles[name]["color"], linestyle="--", linewidth=1
            )
        axes.set_xlim(-_MARGIN, 1 + _MARGIN)
        axes.set_xlabel("machine_weight")
        axes.set_ylabel(dial.label)
    _add_legend(figure, handles.values(), handles)
    return figure
