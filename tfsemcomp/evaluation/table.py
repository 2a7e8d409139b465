"""The results table: one row a compressed picture, as CSV and as JSON.

Both files hold the same rows. CSV is for spreadsheets and pandas; JSON keeps the run's
description as well. Infinite values (the dB of equal pictures) are ``inf`` in CSV and
the string ``"inf"`` in JSON; what was not measured is an empty cell or ``null``.
"""

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from tfsemcomp.errors import SemCompError

CSV_NAME = "results.csv"
JSON_NAME = "results.json"
_FORMAT = "tfsemcomp-results"
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Row:
    """One picture, compressed once.

    Attributes:
        image: the picture's name, unique in its table.
        codec: the codec's registered name.
        model: the model's name; "" for codecs that need none.
        setting: what was asked of the codec, such as "quality=50" or, with further
            settings after the first comma, "quality=50, effort=6". Rows of one codec,
            model and setting form one point of a rate-distortion curve.
        quality: the codec's quality number where one was given.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        size_bytes: the whole file; column `bytes`.
        payload_bytes: the chunks' payloads; the whole file where there is no container.
        encode_s: seconds to compress, the median where repeated.
        decode_s: seconds to decompress, the median where repeated.
        file: the compressed file, relative to the table's folder; "" if not kept.
        error: why there are no results; "" if there are.
        metrics: values by metric name; a column each.
    """

    image: str
    codec: str
    model: str = ""
    setting: str = ""
    quality: float | None = None
    width: int | None = None
    height: int | None = None
    size_bytes: int | None = None
    payload_bytes: int | None = None
    encode_s: float | None = None
    decode_s: float | None = None
    file: str = ""
    error: str = ""
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def bpp(self) -> float | None:
        """Bits of the whole file per pixel of the picture; None without a file."""
        if not (self.size_bytes and self.width and self.height):
            return None
        return 8.0 * self.size_bytes / (self.width * self.height)

    @property
    def variant(self) -> str:
        """The further settings; rows of one codec, model and variant form a curve."""
        return self.setting.partition(", ")[2]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What identifies the row within its table."""
        return (self.image, self.codec, self.model, self.setting)


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows and the description of the run that made them.

    Attributes:
        rows: the results.
        meta: whatever describes the run, in JSON types.
    """

    rows: tuple[Row, ...]
    meta: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def metric_names(self) -> tuple[str, ...]:
        """The metrics that any row has, in the order in which they first appear."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.metrics))


_TEXT = ("image", "codec", "model", "setting", "file", "error")
_WHOLE = ("width", "height", "bytes", "payload_bytes")
_REAL = ("quality", "bpp", "encode_s", "decode_s")
_LEADING = (
    "image",
    "codec",
    "model",
    "setting",
    "quality",
    "width",
    "height",
    "bytes",
    "bpp",
    "payload_bytes",
    "encode_s",
    "decode_s",
)
_TRAILING = ("file", "error")


def columns(table: Table) -> tuple[str, ...]:
    """The table's column names in order, metrics between the facts and the error."""
    return (*_LEADING, *table.metric_names(), *_TRAILING)


def flatten(row: Row) -> dict[str, Any]:
    """The row as one flat dictionary, column by column."""
    fields = dataclasses.asdict(row)
    values = fields.pop("metrics")
    fields["bytes"] = fields.pop("size_bytes")
    fields["bpp"] = row.bpp
    return {**fields, **values}


def _row(fields: Mapping[str, Any]) -> Row:
    """The inverse of `flatten`, from strings or JSON values; "" and None are absent."""
    known, values = {}, {}
    for name, value in fields.items():
        if name in _TEXT:
            known[name] = value or ""
        elif value in ("", None):
            continue
        elif name in _WHOLE:
            known[name] = int(value)
        elif name in _REAL:
            known[name] = float(value)
        else:
            values[name] = float(value)
    known.pop("bpp", None)
    known["size_bytes"] = known.pop("bytes", None)
    return Row(**known, metrics=values)


def to_csv(table: Table) -> str:
    """The rows as CSV with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(table), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flatten(row) for row in table.rows)
    return text.getvalue()


def finite_or_text(value: Any) -> Any:
    """`value` for JSON, whose numbers are finite: infinities become "inf", "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def to_json(table: Table) -> str:
    """The rows and the run's description as JSON."""
    rows = [
        {name: finite_or_text(value) for name, value in flatten(row).items()}
        for row in table.rows
    ]
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "meta": dict(table.meta),
        "rows": rows,
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def from_csv(text: str) -> Table:
    """Reads what `to_csv` wrote; columns that it does not know are metrics.

    Raises:
        SemCompError: no such table.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [
        name for name in ("image", "codec") if name not in (reader.fieldnames or ())
    ]
    if missing:
        raise SemCompError(
            f"this is no results table: its header lacks {', '.join(missing)}."
        )
    return _table(reader, {})


def from_json(text: str) -> Table:
    """Reads what `to_json` wrote.

    Raises:
        SemCompError: no such table, or one of a newer version.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SemCompError(f"this is no JSON: {error}.") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise SemCompError(f'this is no results table: no "format": "{_FORMAT}".')
    if document.get("version") != _VERSION:
        raise SemCompError(
            f"the results table has version {document.get('version')}, this program "
            f"reads {_VERSION}: update tfsemcomp."
        )
    return _table(document.get("rows", ()), document.get("meta", {}))


def _table(rows: Iterable[Mapping[str, Any]], meta: Mapping[str, Any]) -> Table:
    found = []
    for number, fields in enumerate(rows, start=1):
        try:
            found.append(_row(fields))
        except (TypeError, ValueError, AttributeError) as error:
            raise SemCompError(
                f"row {number} of the results table is damaged: {error}."
            ) from error
    return Table(tuple(found), meta)


def write(folder: str | os.PathLike[str], table: Table) -> None:
    """Writes results.csv and results.json into a folder, each atomically.

    Args:
        folder: where; it is made if it is not there.
        table: what.

    Raises:
        SemCompError: the folder cannot be made or written.
    """
    from tfsemcomp import images

    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemCompError(f"cannot make the folder {folder}: {error}.") from error
    images.write_atomic(folder / CSV_NAME, to_csv(table).encode("utf-8"))
    images.write_atomic(folder / JSON_NAME, to_json(table).encode("utf-8"))


def read(folder: str | os.PathLike[str]) -> Table:
    """Reads a folder's results.json, or results.csv where there is no JSON.

    Args:
        folder: the result folder, or one of the two files.

    Raises:
        SemCompError: neither is there, or it is no results table.
    """
    folder = pathlib.Path(folder)
    candidates = [folder / JSON_NAME, folder / CSV_NAME]
    if folder.is_file():
        candidates = [folder]
    for path in candidates:
        if not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SemCompError(f"cannot read {path}: {error}.") from error
        try:
            return from_json(text) if path.suffix == ".json" else from_csv(text)
        except SemCompError as error:
            raise SemCompError(f"{path}: {error}") from error
    raise SemCompError(
        f"{folder} holds no {JSON_NAME} and no {CSV_NAME}: make results with "
        "`tfsemcomp evaluate` first."
    )
