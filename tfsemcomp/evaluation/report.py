"""One self-contained HTML page from a result folder: pictures, plots and tables.

The page loads nothing: pictures are inlined, plots are drawn by its own script, and a
content security policy forbids everything else. It opens from disk in any browser of
the last years, and follows the system's light or dark colours.
"""

import base64
import datetime
import html
import importlib.resources
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from absl import logging

from tfsemcomp import images, metrics, version
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import layout, table
from tfsemcomp.evaluation.table import Row, Table

# What browsers show as it is; anything else is decoded and shown as PNG.
_BROWSER_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
# Pages above this size are slow to open: further pictures are left to the tables.
_MOST_INLINED = 2**26
_SCRIPTS = ("core.js", "charts.js", "viewer.js", "tables.js", "main.js")
# Dark violet over red to light yellow: rises in lightness, so it reads in grey, too.
_HEAT_STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)
_HEAT_COLOURS = (
    (10, 5, 40),
    (95, 20, 115),
    (200, 55, 85),
    (250, 140, 30),
    (255, 250, 170),
)


def write_report(
    folder: str | os.PathLike[str],
    *,
    title: str = "Image compression report",
    reference: str = "jpeg",
    ours: str = "msroi_jpeg",
    pictures: int | None = 12,
    notes: str = "",
) -> pathlib.Path:
    """Writes report.html into a result folder.

    Args:
        folder: what `sweep.run_sweep` filled: results.json or results.csv, and where
            kept the files that they name.
        title: the page's heading.
        reference: the codec that others are compared with first.
        ours: the codec that is compared with it first.
        pictures: of how many pictures, at most, the files are inlined for the viewer;
            None for as many as 64 MiB hold. Tables and plots always hold all rows.
        notes: a sentence under the table, as plain text.

    Returns:
        The page's path.

    Raises:
        ValueError: `pictures` is negative.
        SemCompError: no results there, or the page cannot be written.
    """
    if pictures is not None and pictures < 0:
        raise ValueError(f"`pictures` must be 0 or more, not {pictures}.")
    folder = pathlib.Path(folder)
    results = table.read(folder)
    if not results.rows:
        raise SemCompError(f"{folder}: the results table has no rows, nothing to show.")
    content = _content(folder, results, reference, ours, pictures)
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
    folder: pathlib.Path,
    results: Table,
    reference: str,
    ours: str,
    pictures: int | None,
) -> dict[str, Any]:
    """All that the page's script reads."""
    by_image: dict[str, list[Row]] = {}
    for row in results.rows:
        by_image.setdefault(row.image, []).append(row)
    shown: dict[str, Any] = {}
    rows = []
    inlined = 0
    for image, group in by_image.items():
        full = len(shown) == pictures or inlined > _MOST_INLINED
        picture = None if full else _picture(folder, image)
        if picture is not None:
            shown[image] = picture
        for row in group:
            fields = _fields(row)
            source = _row_source(folder, row) if picture else None
            if source is not None:
                fields["picture"] = source
                inlined += len(source)
            rows.append(fields)
    return {
        "reference": reference,
        "ours": ours,
        "metrics": _metric_facts(results.metric_names()),
        "pictures": shown,
        "rows": rows,
    }


def _fields(row: Row) -> dict[str, Any]:
    fields = table.flatten(row)
    for name in row.metrics:
        del fields[name]
    fields["metrics"] = {
        name: table.finite_or_text(value) for name, value in row.metrics.items()
    }
    return fields


def _metric_facts(names: Iterable[str]) -> list[dict[str, str]]:
    facts = []
    for name in names:
        metric = metrics.METRICS.get(name)
        label, unit = (metric.label, metric.unit) if metric else (name, "")
        facts.append({"name": name, "label": label, "unit": unit})
    return facts


def _picture(folder: pathlib.Path, name: str) -> dict[str, Any] | None:
    """The original and its map, inlined; None where the original was not kept."""
    path = layout.original(folder, name)
    if not path.is_file():
        return None
    pixels = images.read(path)
    facts: dict[str, Any] = {
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "original": _inline(path.read_bytes(), "image/png"),
        "map": None,
    }
    map_path = layout.roi_map(folder, name)
    if map_path.is_file():
        heat = _heat(images.read(map_path)[..., 0])
        facts["map"] = _inline(images.encode(heat, "png"), "image/png")
    return facts


def _heat(grey: np.ndarray) -> np.ndarray:
    """Colours of an 8-bit map: uint8 [H,W] -> uint8 [H,W,3]."""
    levels = np.arange(256) / 255.0
    channels = [
        np.interp(levels, _HEAT_STOPS, channel)
        for channel in zip(*_HEAT_COLOURS, strict=True)
    ]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)[grey]


def _row_source(folder: pathlib.Path, row: Row) -> str | None:
    """The row's file for an <img>: as it is where browsers can, else decoded."""
    if row.error or not row.file:
        return None
    path = (folder / row.file).resolve()
    # The table may come from elsewhere: it must not pull other files into the page.
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    data = path.read_bytes()
    kind = _BROWSER_TYPES.get(path.suffix.lower())
    if kind is not None:
        return _inline(data, kind)
    import tfsemcomp

    try:
        pixels = tfsemcomp.decompress(data)
    except SemCompError as error:  # a plug-in or model that is not on this machine
        logging.warning("%s is not shown: %s", row.file, error)
        return None
    return _inline(images.encode(pixels, "png"), "image/png")


def _inline(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
