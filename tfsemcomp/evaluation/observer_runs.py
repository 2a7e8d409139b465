"""Observers over whole sets: from pre-compressed records or a sweep to one table.

Accuracies are means over pictures. All means of one summary are over the same
pictures: those that every codec and setting has.
"""

import dataclasses
import math
import os
import pathlib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from tfsemcomp import api, version
from tfsemcomp import images as image_files
from tfsemcomp import metrics as picture_metrics
from tfsemcomp.codecs import base
from tfsemcomp.data import compressed, label_maps
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import intervals, layout, markdown, provenance, table
from tfsemcomp.evaluation.intervals import Estimate
from tfsemcomp.evaluation.observer_labels import Label
from tfsemcomp.evaluation.observer_networks import in_batches
from tfsemcomp.evaluation.observers import Observer
from tfsemcomp.evaluation.table import Row, Table

_BATCH = 32
# Columns, by the part before "@", whose values are 0 or 1.
_HITS = ("top1", "top5", "preserved")


def labels_of(folder: str) -> dict[str, Label]:
    """Classes of the originals of pre-compressed records: names, or indexes if none.

    Args:
        folder: of the records.

    Returns:
        Class by picture, of those that have one.
    """
    found = {}
    for record in compressed.read_originals(folder):
        if record.class_text or record.label >= 0:
            found[record.name] = record.class_text or record.label
    return found


def label_maps_of(folder: str) -> dict[str, np.ndarray]:
    """Label maps of the originals of pre-compressed records, uint8 [H,W] by picture."""
    return {
        record.name: label_maps.decode(record.label_map, record.name)
        for record in compressed.read_originals(folder)
        if record.label_map
    }


def observe_originals(
    folder: str, observers: Sequence[Observer]
) -> dict[str, dict[str, float]]:
    """What observers say of the originals of pre-compressed records.

    Returns:
        Values by column, by picture.
    """
    values = {}
    for batch in in_batches(compressed.read_originals(folder), _BATCH):
        pictures = [_decode(record.image) for record in batch]
        names = [record.name for record in batch]
        found = _observe(observers, names, pictures, pictures)
        values |= zip(names, found, strict=True)
    return values


def observe_records(
    folder: str,
    observers: Sequence[Observer],
    splits: Sequence[str],
    metrics: Sequence[str] = (),
    on_rows: Callable[[int], None] | None = None,
) -> Table:
    """Judges every picture of pre-compressed records.

    Args:
        folder: of the records.
        observers: whose values are wanted.
        splits: of the folder; see `compressed.splits`.
        metrics: as `tfsemcomp.metrics.get` takes them, without those that need a map.
        on_rows: called with the number of rows done.

    Returns:
        A row for each record, with its bytes and the observers' values.

    Raises:
        BitstreamError: a damaged or missing shard, named.
    """
    metrics = picture_metrics.select(metrics, has_map=False)
    rows: list[Row] = []
    for split in splits:
        for batch in in_batches(compressed.pairs(folder, split), _BATCH):
            originals = [_decode(original.image) for original, _ in batch]
            decoded = [_decode(record.image) for _, record in batch]
            names = [record.name for _, record in batch]
            seen = _observe(observers, names, originals, decoded)
            for number, (_, record) in enumerate(batch):
                pair = originals[number], decoded[number]
                values = picture_metrics.measure(*pair, metrics) | seen[number]
                rows.append(_row(record, values))
            if on_rows is not None:
                on_rows(len(rows))
    meta = {
        "tfsemcomp": version.__version__,
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "metrics": list(metrics),
    }
    return Table(tuple(rows), meta)


def observe_results(
    folder: str | os.PathLike[str],
    observers: Sequence[Observer],
    on_rows: Callable[[int], None] | None = None,
) -> Table:
    """Adds observers' values to the rows of a sweep, from the files that it kept.

    Args:
        folder: that `sweep.run_sweep` filled, keeping files.
        observers: whose values are wanted.
        on_rows: called with the number of rows done.

    Returns:
        The table with further columns; rows with an error as they were.

    Raises:
        SemCompError: no table, or a row whose file was not kept.
    """
    folder = pathlib.Path(folder)
    results = table.read(folder)
    by_image: dict[str, list[Row]] = {}
    for row in results.rows:
        by_image.setdefault(row.image, []).append(row)
    done: dict[tuple[str, ...], Row] = {row.key: row for row in results.rows}
    count = 0
    for image, rows in by_image.items():
        whole = [row for row in rows if not row.error]
        if whole:
            decoded = [_decompress(folder, row) for row in whole]
            original = image_files.read(layout.original(folder, image))
            names = [image] * len(whole)
            seen = _observe(observers, names, [original] * len(whole), decoded)
            for row, values in zip(whole, seen, strict=True):
                metrics = {**row.metrics, **values}
                done[row.key] = dataclasses.replace(row, metrics=metrics)
        count += len(rows)
        if on_rows is not None:
            on_rows(count)
    return Table(tuple(done.values()), results.meta)


@dataclasses.dataclass(frozen=True)
class Point:
    """One codec at one setting, or the originals.

    Attributes:
        codec: its name; "original" for the originals.
        model: its model's name, or "".
        setting: what tables call it, or "".
        bpp: mean over pictures; None for the originals.
        means: mean over pictures by column.
        intervals: 95 % confidence interval of a share by column (Wilson's).
        relative: of each `top1` and `top5`, its ratio to that of the originals: the
            preserved accuracy of arXiv 1910.03472.
    """

    codec: str
    model: str
    setting: str
    bpp: float | None
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    relative: dict[str, float]


def summarise(
    results: Table,
    columns: Sequence[str],
    originals: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple[list[Point], int]:
    """Means over the pictures that all codecs and settings have.

    Args:
        results: with observers' columns.
        columns: those to average.
        originals: of `observe_originals`, if known.

    Returns:
        The originals, if known, and a point for each codec and setting in the table's
        order; and the number of pictures.

    Raises:
        SemCompError: no picture went through all of them.
    """
    groups: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in results.rows:
        held = groups.setdefault((row.codec, row.model, row.setting), {})
        if not row.error:
            held[row.image] = row
    names = set.intersection(*map(set, groups.values())) if groups else set()
    if not names:
        raise SemCompError(
            "no picture went through all codecs and settings; see the errors in the "
            "table."
        )
    order = [name for name in next(iter(groups.values())) if name in names]
    base_means: dict[str, float] = {}
    points = []
    if originals is not None:
        values = [originals[name] for name in order]
        points.append(_point(("original", "", ""), None, values, columns, {}))
        base_means = points[0].means
    for key, rows in groups.items():
        chosen = [rows[name] for name in order]
        bpp = statistics.fmean(row.bpp for row in chosen)
        values = [row.metrics for row in chosen]
        points.append(_point(key, bpp, values, columns, base_means))
    return points, len(order)


def to_markdown(points: Iterable[Point]) -> str:
    """The points as a Markdown table: shares in per cent, accuracies with intervals.

    Accuracies that are known of the originals too have a further column, what is left
    of them (`Point.relative`).
    """
    points = list(points)
    columns = list(dict.fromkeys(name for point in points for name in point.means))
    known = {name for point in points for name in point.relative}
    head = ["codec", "setting", "bpp"]
    for column in columns:
        head.append(column)
        if column in known:
            head.append(f"{column}, of the original's")
    lines = []
    for point in points:
        bpp = "" if point.bpp is None else f"{point.bpp:.3f}"
        cells = [f"{point.codec} {point.model}".strip(), point.setting, bpp]
        for column in columns:
            cells.append(_cell(point, column))
            if column in known:
                left = point.relative.get(column)
                cells.append("" if left is None else f"{100 * left:.1f}")
        lines.append(cells)
    return markdown.table(head, lines, texts=2) + "\n"


def _point(
    key: tuple[str, str, str],
    bpp: float | None,
    values: Sequence[Mapping[str, float]],
    columns: Iterable[str],
    base_means: dict[str, float],
) -> Point:
    means, reaches, relative = {}, {}, {}
    for column in columns:
        known = [value[column] for value in values if column in value]
        if not known:
            continue
        means[column] = statistics.fmean(known)
        family = column.partition("@")[0]
        if family in _HITS:
            reaches[column] = intervals.wilson(sum(known), len(known))
        if family in ("top1", "top5") and base_means.get(column):
            relative[column] = means[column] / base_means[column]
    return Point(*key, bpp, means, reaches, relative)


def _cell(point: Point, column: str) -> str:
    if column not in point.means:
        return ""
    mean = point.means[column]
    if column.startswith("confidence@"):
        return markdown.signed(100 * mean)
    if column in point.intervals:
        return markdown.share(Estimate(mean, *point.intervals[column]))
    return f"{100 * mean:.1f}"


def _observe(
    observers: Sequence[Observer],
    names: Sequence[str],
    originals: Sequence[np.ndarray],
    decoded: Sequence[np.ndarray],
) -> list[dict[str, float]]:
    """Values of all observers for each picture."""
    merged: list[dict[str, float]] = [{} for _ in names]
    for observer in observers:
        found = observer.observe_batch(names, originals, decoded)
        for values, further in zip(merged, found, strict=True):
            values |= further
    return merged


def _row(record: compressed.CompressedRecord, values: dict[str, float]) -> Row:
    return Row(
        image=record.name,
        codec=record.codec,
        model=record.model,
        setting=record.setting,
        quality=None if math.isnan(record.quality) else record.quality,
        width=record.width,
        height=record.height,
        size_bytes=len(record.data),
        metrics=values,
    )


def _decode(data: bytes) -> np.ndarray:
    return image_files.load_bytes(data).pixels


def _decompress(folder: pathlib.Path, row: Row) -> np.ndarray:
    if not row.file:
        raise SemCompError(
            f"{folder}: the file of {row.image}, {row.codec} {row.setting}, was not "
            "kept; evaluate with --keep_files."
        )
    options = {"model": row.model} if row.model else {}
    data = api.read_file(folder / row.file)
    return base.get_codec(row.codec, **options).decompress(data)
