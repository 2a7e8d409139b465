"""The metric records of the original MSROI experiments: written, read, averaged, drawn.

A record compares, for one picture, a reference JPEG with a content-aware one. The
original logged 19 values a line, blanks between them, in three groups split by `|`:

    filename model png_size jpeg_size our_size jpeg_q our_q
        | jpeg psnr ssim msssim vifp psnrhvs psnrhvsm | our (same six) |

We write CSV with a header and JSON lines under the same 19 names, and the pipe format
too; `read` takes all three. The original measured 8-bit luma scaled to multiples of 16;
ours are the luma metrics of METRICS.md at the picture's own size: compare differences,
not absolute values.
"""

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.evaluation import layout, table
from tfsemcomp.evaluation.table import Row

# The metrics as the records name them, and as `tfsemcomp.metrics` does.
METRICS: dict[str, str] = {
    "psnr": "psnr_y",
    "ssim": "ssim_y",
    "msssim": "ms_ssim_y",
    "vifp": "vifp",
    "psnrhvs": "psnr_hvs",
    "psnrhvsm": "psnr_hvsm",
}
_HEAD = (
    "filename",
    "model_number",
    "png_size",
    "jpeg_size",
    "our_size",
    "jpeg_q",
    "our_q",
)
_JPEG = tuple(f"jpeg_{metric}" for metric in METRICS)
_OURS = tuple(f"our_{metric}" for metric in METRICS)
# The 19 names, in the order of the pipe format.
COLUMNS: tuple[str, ...] = (*_HEAD, *_JPEG, *_OURS)
_WHOLE = ("model_number", "png_size", "jpeg_size", "our_size")
# The group of all records in `averages`.
ALL = "all"
_SAME_SIZE = 0.05


@dataclasses.dataclass(frozen=True)
class Record:
    """One picture: the reference JPEG against ours.

    Attributes:
        filename: the picture's name.
        values: the other 18 columns by name; None where not known. `model_number` is
            the mixing mode 1..6 of the original, 0 for any other allocator; sizes are
            in bytes; the metrics are in dB or unitless.
    """

    filename: str
    values: Mapping[str, float | None]

    def gain(self, metric: str) -> float | None:
        """Ours minus the reference in one of `METRICS`; None where one is unknown."""
        ours, theirs = self.values[f"our_{metric}"], self.values[f"jpeg_{metric}"]
        if ours is None or theirs is None:
            return None
        return 0.0 if ours == theirs else ours - theirs


def from_rows(
    rows: Iterable[Row],
    *,
    reference: str = "jpeg",
    ours: str = "msroi_jpeg",
    png_sizes: Mapping[str, int] | None = None,
    model_number: int = 0,
) -> list[Record]:
    """Pairs the rows of two codecs into records.

    Each row of `ours` goes with the reference row of the same picture whose size is
    nearest; pairs more than 5 % apart say nothing and are left out.

    Args:
        rows: of a results table.
        reference: the reference codec's name.
        ours: the other codec's name.
        png_sizes: bytes of each picture as PNG, by name, where known.
        model_number: the mixing mode of `ours`; 0 for none of the original's.

    Returns:
        Records in the order of the rows of `ours`.
    """
    rows = [row for row in rows if not row.error and row.size_bytes]
    records = []
    for row in rows:
        if row.codec != ours:
            continue
        anchors = [r for r in rows if r.codec == reference and r.image == row.image]
        if not anchors:
            continue
        nearest = min(anchors, key=lambda r: abs(r.size_bytes - row.size_bytes))
        if abs(row.size_bytes / nearest.size_bytes - 1) > _SAME_SIZE:
            continue
        records.append(
            _pair(nearest, row, (png_sizes or {}).get(row.image), model_number)
        )
    return records


def _pair(reference: Row, ours: Row, png_size: int | None, model_number: int) -> Record:
    values: dict[str, float | None] = {
        "model_number": model_number,
        "png_size": png_size,
        "jpeg_size": reference.size_bytes,
        "our_size": ours.size_bytes,
        "jpeg_q": reference.quality,
        "our_q": ours.quality,
    }
    for metric, name in METRICS.items():
        values[f"jpeg_{metric}"] = reference.metrics.get(name)
        values[f"our_{metric}"] = ours.metrics.get(name)
    return Record(ours.image, values)


def from_folder(
    folder: str | os.PathLike[str],
    *,
    reference: str = "jpeg",
    ours: str = "msroi_jpeg",
    model_number: int = 0,
) -> list[Record]:
    """Makes records from a result folder; PNG sizes are those of the kept originals.

    Args:
        folder: what `sweep.run_sweep` filled.
        reference: the reference codec's name.
        ours: the other codec's name.
        model_number: see `from_rows`.

    Returns:
        As `from_rows`.

    Raises:
        SemCompError: no results table there.
    """
    folder = pathlib.Path(folder)
    rows = table.read(folder).rows
    originals = {row.image: layout.original(folder, row.image) for row in rows}
    sizes = {
        image: path.stat().st_size
        for image, path in originals.items()
        if path.is_file()
    }
    return from_rows(
        rows,
        reference=reference,
        ours=ours,
        png_sizes=sizes,
        model_number=model_number,
    )


def to_csv(records: Iterable[Record]) -> str:
    """CSV with a header line; unknown values are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({"filename": r.filename, **r.values} for r in records)
    return text.getvalue()


def to_json_lines(records: Iterable[Record]) -> str:
    """One JSON object a line; unknown values are null, infinite ones "inf"."""
    lines = []
    for record in records:
        fields = {"filename": record.filename, **record.values}
        plain = {name: table.finite_or_text(fields.get(name)) for name in COLUMNS}
        lines.append(json.dumps(plain, allow_nan=False) + "\n")
    return "".join(lines)


def to_pipes(records: Iterable[Record]) -> str:
    """The original's format; names with blanks, quotes or `|` are quoted as JSON."""
    lines = []
    for record in records:
        name = record.filename
        if re.search(r'[\s|"]', name):
            name = json.dumps(name)
        groups = (_HEAD[1:], _JPEG, _OURS)
        head, *rest = (" ".join(_text(record.values[n]) for n in g) for g in groups)
        lines.append(" | ".join([f"{name} {head}", *rest]) + " |\n")
    return "".join(lines)


def _text(value: float | None) -> str:
    return "nan" if value is None else f"{value}"


def read(path: str | os.PathLike[str]) -> list[Record]:
    """Reads records in any of the three formats, told apart by their first line.

    Args:
        path: the file.

    Returns:
        The records, in the file's order.

    Raises:
        SemCompError: the file cannot be read, or a line is no record.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SemCompError(f"cannot read {path}: {error}.") from error
    try:
        return parse(text)
    except SemCompError as error:
        raise SemCompError(f"{path}: {error}") from error


def parse(text: str) -> list[Record]:
    """Reads records from text; see `read`."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        return []
    first = lines[0][1].lstrip()
    if first.startswith("{"):
        return [_parse_line(_parse_json, number, line) for number, line in lines]
    header = next(csv.reader([first]))
    if set(COLUMNS) <= set(header):
        rows = csv.DictReader(io.StringIO(text))
        return [_parse_line(_record, rows.line_num, fields) for fields in rows]
    return [_parse_line(_parse_pipes, number, line) for number, line in lines]


def _parse_line(parser: Callable[[Any], Record], number: int, line: Any) -> Record:
    try:
        return parser(line)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SemCompError(
            f"line {number} is no record of {len(COLUMNS)} values: {error}."
        ) from error


def _parse_json(line: str) -> Record:
    return _record(json.loads(line))


def _parse_pipes(line: str) -> Record:
    # From the right, since old records hold unquoted names with blanks and pipes.
    groups = line.rstrip().removesuffix("|").rsplit("|", 2)
    if len(groups) != 3:
        raise ValueError("three groups split by `|` expected")
    head, jpeg, ours = groups
    name, *numbers = head.rsplit(None, len(_HEAD) - 1)
    numbers += [*jpeg.split(), *ours.split()]
    name = name.strip()
    if name.startswith('"'):
        name = json.loads(name)
    fields = dict(zip(COLUMNS[1:], numbers, strict=True))
    return _record({"filename": name, **fields})


def _record(fields: Mapping[str, Any]) -> Record:
    values = {name: _number(name, fields[name]) for name in COLUMNS[1:]}
    return Record(str(fields["filename"]), values)


def _number(name: str, value: Any) -> float | None:
    if value in ("", None):
        return None
    number = float(value)
    if math.isnan(number):
        return None
    return int(number) if name in _WHOLE else number


def kodak_category(filename: str) -> str:
    """The Kodak picture's number "01".."24" in a name like kodim07.png; else ""."""
    found = re.search(
        r"(?<!\d)(0[1-9]|1\d|2[0-4])(?!\d)", pathlib.PurePath(filename).name
    )
    return found[1] if found else ""


def averages(
    records: Sequence[Record],
    category: Callable[[str], str] | Mapping[str, str] | None = None,
) -> dict[str, dict[str, float | None]]:
    """Means of every numeric column, over all records and over each category.

    Args:
        records: what to average.
        category: from a file name to its category, as function (`kodak_category`) or
            mapping; "" or no entry for none. None for no categories.

    Returns:
        By category, "all" first, then sorted: the mean of each column over the records
        in which it is known; None where it is known in none.
    """
    groups: dict[str, list[Record]] = {ALL: list(records)}
    lookup = category if callable(category) else (category or {}).get
    for record in records:
        name = lookup(record.filename)
        if name:
            groups.setdefault(name, []).append(record)
    order = [ALL, *sorted(set(groups) - {ALL})]
    return {name: _means(groups[name]) for name in order}


def _means(records: Sequence[Record]) -> dict[str, float | None]:
    means: dict[str, float | None] = {}
    for column in COLUMNS[1:]:
        known = [r.values[column] for r in records if r.values[column] is not None]
        means[column] = sum(known) / len(known) if known else None
    return means


def plot_gains(
    records: Sequence[Record],
    folder: str | os.PathLike[str],
    *,
    name: str = "kodak",
    labels: Callable[[str], str] | None = None,
) -> list[pathlib.Path]:
    """Draws the paper's figures: per metric, ours minus reference for each picture.

    Bars below zero are red, the others blue; 25 x 3 inches.

    Args:
        records: what to draw.
        folder: where to write plot_NAME_METRIC.png; it is made if it is not there.
        name: of the data set, for the file names.
        labels: from a file name to the bar's label; None for the name itself.

    Returns:
        The files written, one a metric of which anything is known.

    Raises:
        UnavailableError: matplotlib is not installed.
        SemCompError: the folder cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnavailableError(
            "drawing needs matplotlib: pip install 'tfsemcomp[bench]'"
        ) from error
    from tfsemcomp import images

    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemCompError(f"cannot make the folder {folder}: {error}.") from error
    written = []
    for metric in METRICS:
        gains = [(r.filename, r.gain(metric)) for r in records]
        gains = [(n, g) for n, g in gains if g is not None and math.isfinite(g)]
        if not gains:
            continue
        figure = Figure(figsize=(25, 3), layout="constrained")
        _draw_bars(figure.add_subplot(), gains, metric, labels or (lambda text: text))
        file = io.BytesIO()
        FigureCanvasAgg(figure).print_png(file)
        path = folder / f"plot_{name}_{metric}.png"
        images.write_atomic(path, file.getvalue())
        written.append(path)
    return written


def _draw_bars(
    axes: Any,
    gains: Sequence[tuple[str, float]],
    metric: str,
    labels: Callable[[str], str],
) -> None:
    positions = range(len(gains))
    heights = [gain for _, gain in gains]
    colours = ["#2a78d6" if height >= 0 else "#d03b3b" for height in heights]
    axes.bar(positions, heights, color=colours, width=0.7)
    axes.axhline(0, color="#555555", linewidth=0.8)
    axes.set_xticks(positions, [labels(name) for name, _ in gains])
    axes.set_ylabel(f"{metric}: ours - jpeg")
    axes.margins(x=0.01)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
