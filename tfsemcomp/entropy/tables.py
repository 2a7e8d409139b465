"""Frozen integer tables of cumulative frequencies, and the file that keeps them.

A decoder must divide the range exactly as its encoder did. Tables are therefore built
once, when a model is exported (`entropy.builders`), kept as integers beside it and
never computed again: a probability that another machine rounds differently would cost
the rest of the stream (Ballé et al., "Integer Networks for Data Compression with
Latent-Variable Models", ICLR 2019).
"""

import dataclasses
import functools
import hashlib
import io
import os
import re
from collections.abc import Mapping

import numpy as np

from tfsemcomp import images
from tfsemcomp.entropy import archives
from tfsemcomp.errors import ModelMismatchError

# Beside saved_model.pb.
FILE_NAME = "tables.npz"
MIN_PRECISION = 8
MAX_PRECISION = 16
# Keeps symbol minus offset, and offset plus count, in reach of plain arithmetic.
MAX_OFFSET = 2**30
# What a file of tables may unpack to; 255 contexts of 1,626 words take 1.7 MB.
MAX_FILE_BYTES = 2**26
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_CHECKSUM = "sha256"


@dataclasses.dataclass(frozen=True, eq=False)
class Tables:
    """A set of tables in the lookup format of tensorflow-compression.

    Attributes:
        lookup: int32 [L]. Each table in turn: its precision p, then its cumulative
            frequencies, which start at 0, rise by at least 1 a symbol and end at
            2**p. A negative precision says that the last symbol is an escape, which
            lets the table code every int32. All tables have one p of 8 to 16.
        offsets: int32 [T], the integer that the first symbol of each table stands for.

    Raises: ValueError if they are none of this, so that no coder ever meets tables
        that would make it read beyond them.
    """

    lookup: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        for name in ("lookup", "offsets"):
            array = np.asarray(getattr(self, name))
            if array.dtype != np.int32 or array.ndim != 1 or not array.size:
                raise ValueError(
                    f"`{name}` must be a non-empty int32 vector, received "
                    f"{array.dtype} {list(array.shape)}"
                )
            array = array.copy()
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        _check_lookup(self.lookup, self.precision)
        if len(self.offsets) != len(self):
            raise ValueError(
                f"`offsets` must have one entry for each of the {len(self)} tables of "
                f"`lookup`, received {len(self.offsets)}"
            )
        if not (abs(self.offsets.astype(np.int64)) <= MAX_OFFSET).all():
            raise ValueError(
                f"`offsets` must be from {-MAX_OFFSET} to {MAX_OFFSET}, received "
                f"{self.offsets.min()} to {self.offsets.max()}"
            )

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def precision(self) -> int:
        """Binary digits of a probability: frequencies sum to 2**precision."""
        return abs(int(self.lookup[0]))

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """int64 [T], where in `lookup` each table's precision stands."""
        return row_starts(self.lookup, self.precision)

    @functools.cached_property
    def escapes(self) -> np.ndarray:
        """bool [T], whether the last symbol of a table is an escape."""
        return self.lookup[self.starts] < 0

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """int64 [T], symbols of a table beside the escape; they follow its offset."""
        rows = np.diff(self.starts, append=len(self.lookup))
        return rows - 2 - self.escapes


def row_starts(lookup: np.ndarray, precision: int) -> np.ndarray:
    """Where each table of `lookup` begins: after the 2**precision of the one before."""
    ends = np.flatnonzero(lookup == 1 << precision)
    return np.concatenate([[0], ends[:-1] + 1])


def _check_lookup(lookup: np.ndarray, precision: int) -> None:
    """Raises ValueError unless `lookup` is a sequence of whole tables."""
    if not MIN_PRECISION <= precision <= MAX_PRECISION:
        raise ValueError(
            f"`lookup` must have a precision of {MIN_PRECISION} to {MAX_PRECISION}, "
            f"received {precision}"
        )
    if lookup[-1] != 1 << precision:
        raise ValueError(
            f"`lookup` must end with 2**precision = {1 << precision}, received "
            f"{lookup[-1]}"
        )
    starts = row_starts(lookup, precision)
    heads = lookup[starts].astype(np.int64)
    if not (abs(heads) == precision).all():
        raise ValueError(
            f"each table of `lookup` must begin with {precision} or {-precision}, "
            "the precision of the first one"
        )
    inside = np.ones(len(lookup), bool)
    inside[starts] = False
    # The step into a table's first frequency comes from its precision: no step.
    inside[starts + 1] = False
    steps = np.diff(lookup.astype(np.int64), prepend=0)
    if lookup[starts + 1].any() or not (steps[inside] > 0).all():
        raise ValueError(
            "each table of `lookup` must start at 0 and rise by at least 1 a symbol"
        )


def save(path: str | os.PathLike[str], tables: Mapping[str, Tables]) -> None:
    """Writes named tables to an npz file with a checksum, atomically.

    Args:
        path: of the file. The same tables always give the same bytes.
        tables: name -> tables; a name is at most 32 small letters, digits and
            underscores and begins with a letter.
    Raises:
        ValueError: if there is no table, or a name is none.
        SemCompError: if the file cannot be written.
    """
    wrong = [name for name in tables if not _NAME.fullmatch(name)]
    if wrong or not tables:
        raise ValueError(
            "`tables` must have names of small letters, digits and underscores, "
            f"received {wrong or 'no table'}"
        )
    members = {}
    for name in sorted(tables):
        members[f"{name}.lookup"] = tables[name].lookup
        members[f"{name}.offsets"] = tables[name].offsets
    members[_CHECKSUM] = np.frombuffer(_digest(tables), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **members)
    images.write_atomic(path, buffer.getvalue())


def load(path: str | os.PathLike[str]) -> dict[str, Tables]:
    """Reads what `save` wrote.

    Whatever the file holds, no more than 64 MiB are unpacked and nothing is executed.

    Returns: name -> tables.
    Raises:
        ModelMismatchError: naming the file, if it is missing, damaged, too large or no
            file of tables, or if its content does not match its checksum.
    """
    try:
        tables, stored = _read(path)
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds
        raise ModelMismatchError(
            f"{os.fspath(path)}: is no file of entropy coding tables ({error}); "
            "restore the model's files."
        ) from error
    if _digest(tables) != stored:
        raise ModelMismatchError(
            f"{os.fspath(path)}: the tables do not match their checksum; restore the "
            "model's files."
        )
    return tables


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Tables], bytes]:
    arrays = archives.read(path, MAX_FILE_BYTES)
    stored = arrays.pop(_CHECKSUM).tobytes()
    names = sorted({name.rpartition(".")[0] for name in arrays})
    expected = {f"{name}.{part}" for name in names for part in ("lookup", "offsets")}
    if not names or set(arrays) != expected or not all(map(_NAME.fullmatch, names)):
        raise ValueError(f"it holds {sorted(arrays)}")
    tables = {
        name: Tables(arrays[f"{name}.lookup"], arrays[f"{name}.offsets"])
        for name in names
    }
    return tables, stored


def _digest(tables: Mapping[str, Tables]) -> bytes:
    """SHA-256 of names, sizes and little-endian values, in the order of the names."""
    digest = hashlib.sha256()
    for name, item in sorted(tables.items()):
        digest.update(f"{name} {len(item.lookup)} {len(item.offsets)}\n".encode())
        digest.update(item.lookup.astype("<i4").tobytes())
        digest.update(item.offsets.astype("<i4").tobytes())
    return digest.digest()
