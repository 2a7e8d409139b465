"""One self-contained HTML page from a result folder: pictures, plots and tables.

The page loads nothing: pictures are inlined, plots are drawn by its own script, and a
content security policy forbids everything else. It opens from disk in any browser of
the last years, and follows the system's light or dark colours.
"""

import datetime
import html
import importlib.resources
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from tfsemcomp import images, version
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import curves, layout, page_pictures, summary, table
from tfsemcomp.evaluation.curves import Curve
from tfsemcomp.evaluation.summary import Summary
from tfsemcomp.evaluation.table import Row, Table

# Pages above this size are slow to open: further pictures are left to the tables.
_MOST_INLINED = 2**26
_SCRIPTS = (
    "core.js",
    "charts.js",
    "gains.js",
    "curves.js",
    "rates.js",
    "speeds.js",
    "viewer.js",
    "tables.js",
    "main.js",
)
# What a plot can tell apart; more would only make the page longer.
_DIGITS = 8


def write_report(
    folder: str | os.PathLike[str],
    *,
    title: str = "Image compression report",
    reference: str | None = None,
    ours: str = "msroi_jpeg",
    anchors: str = summary.AUTO,
    pictures: int | None = 12,
    notes: str = "",
) -> pathlib.Path:
    """Writes report.html into a result folder.

    Args:
        folder: what `sweep.run_sweep` filled: results.json or results.csv, and where
            kept the files and layers that `layout` tells of.
        title: the page's heading.
        reference: the curve that others are compared with first, measured or quoted;
            None for jpeg, or the first one where there is no jpeg.
        ours: the codec that is compared with it first.
        anchors: whose quoted curves to draw beside the measured ones: "kodak",
            "tecnick", "none", or "auto" for the set that the pictures are, if any.
        pictures: of how many pictures, at most, the files are inlined for the viewer;
            None for as many as 64 MiB hold. Tables and plots always hold all rows.
        notes: a sentence under the table, as plain text.

    Returns:
        The page's path.

    Raises:
        ValueError: a negative `pictures`, unknown `anchors`, or a `reference` that is
            neither measured nor quoted.
        SemCompError: no results there, or the page cannot be written.
    """
    if pictures is not None and pictures < 0:
        raise ValueError(f"`pictures` must be 0 or more, not {pictures}.")
    folder = pathlib.Path(folder)
    results = table.read(folder)
    if not results.rows:
        raise SemCompError(f"{folder}: the results table has no rows, nothing to show.")
    found = summary.summarise(results, dataset=anchors)
    baseline = found.reference(reference)
    content = _content(folder, results, found, pictures)
    content |= {
        "ours": ours,
        # Files at equal bytes are there of measured codecs only.
        "reference": baseline if baseline in found.names() else found.reference(),
        "baseline": baseline,
    }
    path = folder / layout.REPORT_NAME
    images.write_atomic(path, _page(content, title, notes).encode("utf-8"))
    return path


def _page(content: dict[str, Any], title: str, notes: str) -> str:
    today = datetime.date.today().isoformat()
    # In a script element only "<" could end the data early.
    data = json.dumps(content, allow_nan=False, separators=(",", ":"))
    parts = {
        "@@TITLE@@": html.escape(title),
        "@@NOTES@@": html.escape(notes),
        "@@FOOTER@@": html.escape(f"tfsemcomp {version.__version__}, {today}"),
        "@@STYLE@@": _asset("style.css"),
        "@@SCRIPT@@": "\n".join(_asset(name) for name in _SCRIPTS),
        "@@DATA@@": data.replace("<", "\\u003c"),
    }
    # Split first, so that no part's own text is ever taken for a mark.
    pieces = _asset("page.html").split("@@")
    return "".join(
        parts[f"@@{piece}@@"] if index % 2 else piece
        for index, piece in enumerate(pieces)
    )


def _asset(name: str) -> str:
    page = importlib.resources.files("tfsemcomp.evaluation") / "page"
    return (page / name).read_text(encoding="utf-8")


def _content(
    folder: pathlib.Path, results: Table, found: Summary, pictures: int | None
) -> dict[str, Any]:
    """All that the page's script reads, but for what is compared first."""
    return {
        "metrics": [
            {
                "name": metric.name,
                "label": metric.label,
                "unit": metric.unit,
                "higher": metric.higher_is_better,
                "decibels": curves.in_decibels(metric.name),
                "main": metric.name in summary.MAIN_METRICS,
            }
            for metric in found.metrics
        ],
        "curves": {
            name: [_curve(curve) for curve in group]
            for name, group in found.curves.items()
        },
        "quoted": {
            curve.name: {
                "source": curve.source,
                "main": [
                    name
                    for name in found.curves
                    if curve.name in found.main_quoted(name)
                ],
            }
            for curve in found.quoted()
        },
        "warning": found.warning(),
        "circumstances": found.circumstances(),
        "comparisons": {
            name: _comparisons(group, found.main_quoted(name))
            for name, group in found.curves.items()
        },
        "matched": {
            name: _matched(group) for name, group in found.curves.items() if group
        },
        "speeds": {
            speed.name: {"encode": speed.encode, "decode": speed.decode}
            for speed in found.speeds
        },
        **_rows(folder, results, pictures),
    }


def _rows(
    folder: pathlib.Path, results: Table, pictures: int | None
) -> dict[str, list[Any] | dict[str, Any]]:
    """The rows, and pictures until there are enough."""
    by_image: dict[str, list[Row]] = {}
    for row in results.rows:
        by_image.setdefault(row.image, []).append(row)
    shown: dict[str, Any] = {}
    rows = []
    inlined = 0
    for image, group in by_image.items():
        full = len(shown) == pictures or inlined > _MOST_INLINED
        picture = None if full else page_pictures.picture(folder, image)
        if picture is not None:
            shown[image] = picture
            inlined += _size(picture)
        for row in group:
            fields = _fields(row)
            source = page_pictures.row_picture(folder, row) if picture else None
            if source is not None:
                fields["picture"] = source
                fields["layers"] = page_pictures.row_layers(folder, row)
                inlined += _size(fields)
            rows.append(fields)
    return {"pictures": shown, "rows": rows}


def _size(facts: dict[str, Any]) -> int:
    """Characters of all the data URIs and texts in a picture's or a row's facts."""
    layers = facts["layers"]
    texts = [*facts.values(), *(text for layer in layers for text in layer.values())]
    return sum(len(text) for text in texts if isinstance(text, str))


def _fields(row: Row) -> dict[str, Any]:
    fields = table.flatten(row)
    for name in row.metrics:
        del fields[name]
    fields["series"] = summary.series(row)
    fields["metrics"] = {
        name: table.finite_or_text(value) for name, value in row.metrics.items()
    }
    return fields


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "name": curve.name,
        "rates": list(map(_short, curve.rates)),
        "values": list(map(_short, curve.values)),
        "images": curve.images,
        "source": curve.source,
    }


def _comparisons(
    group: Iterable[Curve], main: tuple[str, ...]
) -> dict[str, dict[str, list[float] | str]]:
    """BD-rate, range and share, or why not; by reference and test.

    References are the measured curves and those quoted ones that are drawn at first.
    """
    found: dict[str, dict[str, list[float] | str]] = {}
    group = tuple(group)
    for reference in group:
        if not (reference.measured or reference.name in main):
            continue
        cells = found.setdefault(reference.name, {})
        for test in group:
            comparison = summary.compare(reference, test)
            result = comparison.result
            cells[test.name] = (
                comparison.reason
                if result is None
                else [
                    _short(value)
                    for value in (result.percent, result.low, result.high, result.share)
                ]
            )
    return found


def _matched(group: tuple[Curve, ...]) -> dict[str, Any]:
    rates = summary.rates_of(group)
    values = {
        curve.name: [_short(summary.at_rate(curve, rate)) for rate in rates]
        for curve in group
        if curve.measured
    }
    return {"rates": list(rates), "values": values}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
