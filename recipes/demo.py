"""Compress three photos to content-aware JPEGs and show them beside plain JPEG.

Paper:  arXiv 1612.08712, with this project's allocator (docs of `msroi_jpeg`).
Run:    python recipes/demo.py --out=demo_output          (or: make demo)
Cost:   each photo is coded six times at every quality: seconds a photo on a CPU.
Expect: OUT/report.html; at the bytes of plain JPEG, the parts of the picture that count
        come out better and the rest a little worse.

Each photo is compressed as plain JPEG (4:2:0, optimised Huffman tables) at the given
qualities, then by `msroi_jpeg` to at most the same number of bytes each. Both are
standard JPEG files; they lie in OUT/files.
"""

import pathlib
import sys

import tqdm
from absl import app, flags, logging

import tfsemcomp
from tfsemcomp import images, metrics
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import msroi_log, report, sweep, table
from tfsemcomp.semantics import roi

PHOTOS = pathlib.Path(__file__).resolve().parent / "demo_photos"

_OUT = flags.DEFINE_string("out", "demo_output", "Result folder.")
_IMAGES = flags.DEFINE_string("images", str(PHOTOS), "Photos: a folder or a file.")
_QUALITIES = flags.DEFINE_list("qualities", "30,50,75", "Of the plain JPEGs.")
_MAP = flags.DEFINE_string("map", None, "Method or mask; default: the shipped model.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "The first photo at one quality.")


def compress_both(
    path: pathlib.Path, image: str, qualities: list[int], out: pathlib.Path
) -> list[table.Row]:
    """Compresses a photo both ways at each quality's bytes.

    Args:
        path: the photo.
        image: its name in the table.
        qualities: of plain JPEG.
        out: the result folder, which gets the files.
    Returns: two rows a quality.
    Raises: SemCompError if the photo cannot be read or a file not be written.
    """
    pixels = images.read(path)
    roi_map = roi.resolve_map(_MAP.value, pixels)
    sweep.keep_picture(out, image, pixels, roi_map)
    # Thrice, since the first run of a codec loads and compiles its parts.
    options = {"metrics": list(metrics.METRICS), "roi_map": roi_map, "repeats": 3}
    plain, ours = tfsemcomp.load("jpeg"), tfsemcomp.load("msroi_jpeg")
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


def main(argv: list[str]) -> None:
    """Runs the demo."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.WARNING)
    out = pathlib.Path(_OUT.value)
    try:
        path = run(out, parse_qualities(_QUALITIES.value))
    except (SemCompError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"Report: {path.resolve()}")


def parse_qualities(texts: list[str]) -> list[int]:
    """Whole numbers from their texts.

    Raises: ValueError if there are none, or one is none.
    """
    if not texts or not all(text.strip().isdecimal() for text in texts):
        raise ValueError(
            f"`qualities` must be whole numbers, separated by commas; got {texts}."
        )
    return [int(text) for text in texts]


def run(out: pathlib.Path, qualities: list[int]) -> pathlib.Path:
    """Compresses all photos and writes table, records and report.

    Args:
        out: the result folder.
        qualities: of the plain JPEGs.
    Returns: the report's path.
    Raises: SemCompError if anything cannot be read, reached or written.
    """
    rows: list[table.Row] = []
    pictures = sweep.name_pictures(_IMAGES.value)
    if _SMOKE.value:
        pictures, qualities = dict(list(pictures.items())[:1]), qualities[:1]
    for image, path in tqdm.tqdm(pictures.items(), unit="photo", disable=None):
        rows += compress_both(path, image, qualities, out)
        table.write(out, table.Table(tuple(rows), {"recipe": "demo"}))
    records = msroi_log.from_folder(out)
    images.write_atomic(
        out / "msroi_records.csv", msroi_log.to_csv(records).encode("utf-8")
    )
    return report.write_report(
        out,
        title="Content-aware JPEG beside plain JPEG",
        notes="Both are standard JPEG files; only the choice of what to keep differs.",
    )


if __name__ == "__main__":
    app.run(main)
