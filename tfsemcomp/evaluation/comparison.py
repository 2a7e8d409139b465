"""Photos as content-aware JPEGs beside plain JPEGs of the same bytes, on one page."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence

from tfsemcomp import api, bitstream, images, installed, metrics
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import msroi_log, report, sweep, table
from tfsemcomp.semantics import roi

QUALITIES = (30, 50, 75)
_PHOTOS = "demo_photos"


def photos() -> pathlib.Path:
    """The folder of the three photos that come with the package.

    Raises: SemCompError if it is missing.
    """
    candidates = installed.places(_PHOTOS, f"recipes/{_PHOTOS}")
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise SemCompError(
        f"the package's photos are not in {' or '.join(map(str, candidates))}: name "
        "others as `images`, or install tfsemcomp again."
    )


def compare(
    out: str | os.PathLike[str],
    pictures: str | os.PathLike[str] | None = None,
    qualities: Sequence[int] = QUALITIES,
    *,
    roi_map: str | None = None,
    first_only: bool = False,
    limits: bitstream.Limits = bitstream.DEFAULT_LIMITS,
    on_picture: Callable[[int, int], None] = lambda _done, _total: None,
) -> pathlib.Path:
    """Compresses photos as plain JPEG, and by `msroi_jpeg` to at most the same bytes.

    Args:
        out: the result folder: files, table, records and page.
        pictures: photos, a folder or a file; None for those of the package.
        qualities: of the plain JPEGs, whole numbers.
        roi_map: method or mask; None for the shipped model.
        first_only: take the first photo at the first quality.
        limits: of the photos and the time to decode each file.
        on_picture: is told how many photos are done, and of how many.
    Returns: the page.
    Raises:
        ValueError: if `qualities` is empty or one is out of range.
        SemCompError: if anything cannot be read, reached or written.
    """
    if not qualities:
        raise ValueError("`qualities` must name at least one")
    out = pathlib.Path(out)
    found = sweep.name_pictures(photos() if pictures is None else pictures)
    if first_only:
        found, qualities = dict(list(found.items())[:1]), qualities[:1]
    rows: list[table.Row] = []
    for done, (image, path) in enumerate(found.items(), 1):
        rows += _compress_both(path, image, qualities, out, roi_map, limits)
        table.write(out, table.Table(tuple(rows), {"comparison": "equal bytes"}))
        on_picture(done, len(found))
    records = msroi_log.from_folder(out)
    images.write_atomic(
        out / "msroi_records.csv", msroi_log.to_csv(records).encode("utf-8")
    )
    return report.write_report(
        out,
        title="Content-aware JPEG beside plain JPEG",
        notes="Both are standard JPEG files; only the choice of what to keep differs.",
    )


def _compress_both(
    path: pathlib.Path,
    image: str,
    qualities: Sequence[int],
    out: pathlib.Path,
    method: str | None,
    limits: bitstream.Limits,
) -> list[table.Row]:
    """Compresses a photo both ways at each quality's bytes; two rows a quality."""
    pixels = images.read(path, limits=limits)
    roi_map = roi.resolve_map(method, pixels)
    sweep.keep_picture(out, image, pixels, roi_map)
    # Thrice, since the first run of a codec loads and compiles its parts.
    options = {
        "metrics": list(metrics.METRICS),
        "roi_map": roi_map,
        "repeats": 3,
        "limits": limits,
    }
    plain, ours = api.load("jpeg"), api.load("msroi_jpeg")
    rows = []
    for quality in qualities:
        job = sweep.Job(plain, f"quality={quality}", {"quality": quality})
        reference, data = sweep.measure(job, pixels, image, **options)
        rows.append(sweep.keep_file(out, reference, data, plain.suffix))
        job = sweep.Job(
            ours,
            f"bytes of Q{quality}",
            {"target_bytes": len(data), "map": roi_map},
        )
        row, data = sweep.measure(job, pixels, image, **options)
        rows.append(sweep.keep_file(out, row, data, ours.suffix))
    return rows
