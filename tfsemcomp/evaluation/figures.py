"""Plots of a result folder for print: curves of each metric, speed against quality.

Measured curves are solid with filled marks, quoted ones dashed with hollow marks.
Needs matplotlib (extra `bench`). The same table gives the same bytes.
"""

import io
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import images
from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.evaluation import curves, summary
from tfsemcomp.evaluation.curves import Curve
from tfsemcomp.evaluation.summary import Speed, Summary
from tfsemcomp.metrics.registry import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
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
_SIZE_INCHES = (7.0, 3.9)
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
) -> list[pathlib.Path]:
    """Draws the curves of each main metric, and speed against bits saved.

    Args:
        found: of a table.
        folder: where the files go; it is made if it is not there.
        reference: the curve against which bits are saved; see `Summary.reference`.
        prefix: of the files' names.
        formats: of FORMATS.

    Returns:
        The files: PREFIXrd_METRIC.FORMAT, then PREFIXspeed.FORMAT if there are speeds.

    Raises:
        ValueError: an unknown reference or format.
        UnavailableError: matplotlib is not installed.
        SemCompError: the folder cannot be written.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(
            f"`formats` must be of {', '.join(FORMATS)}, received {', '.join(unknown)}."
        )
    reference = found.reference(reference)
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemCompError(f"cannot make the folder {folder}: {error}.") from error
    matplotlib = _matplotlib()
    written = []
    with matplotlib.rc_context(_STYLE):
        for name, figure in _figures(found, reference):
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


def _figures(found: Summary, reference: str) -> Iterator[tuple[str, "Figure"]]:
    styles = _styles(found)
    for metric in found.main_metrics():
        name = re.sub(r"[^\w-]", "_", metric.name)
        yield f"rd_{name}", _curves_figure(found.shown(metric.name), metric, styles)
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
    return {
        name: {
            "color": _COLOURS[index % len(_COLOURS)],
            "marker": _MARKS[index % len(_MARKS)],
        }
        for index, name in enumerate(name for name in names if name in shown)
    }


def _new_figure() -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=_SIZE_INCHES, layout="constrained")


def _curves_figure(
    group: Sequence[Curve], metric: Metric, styles: dict[str, dict[str, Any]]
) -> "Figure":
    figure = _new_figure()
    axes = figure.add_subplot()
    for curve in group:
        values = curves.quality_axis(curve.metric, curve.values)
        axes.plot(curve.rates, values, **_line(curve, styles[curve.name]))
    _fit(axes, group)
    axes.set_xlabel("bits per pixel")
    axes.set_ylabel(summary.axis_label(metric))
    figure.legend(loc="outside right upper")
    return figure


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


def _fit(axes: "Axes", group: Sequence[Curve]) -> None:
    """Shows the rates that were measured, and what lies there."""
    rates = [rate for curve in group if curve.measured for rate in curve.rates]
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
    pad = _MARGIN * (max(values) - min(values)) or _MARGIN
    axes.set_xlim(low, high)
    axes.set_ylim(min(values) - pad, max(values) + pad)


def _speed_figure(
    found: Summary,
    metric: Metric,
    reference: str,
    saved: dict[str, float],
    styles: dict[str, dict[str, Any]],
) -> "Figure":
    """Two plots, encoding and decoding: time from fastest to slowest setting."""
    from matplotlib import ticker

    figure = _new_figure()
    for place, field in enumerate(("encode", "decode"), start=1):
        axes = figure.add_subplot(1, 2, place)
        for speed in found.speeds:
            seconds = getattr(speed, field)
            if seconds is not None and speed.name in saved:
                _draw_speed(axes, speed, seconds, saved[speed.name], styles)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlabel(f"ms a megapixel to {field}")
        if place == 1:
            axes.set_ylabel(
                f"bits saved against {reference}, %\n(equal {metric.label})"
            )
            figure.legend(loc="outside right upper")
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
