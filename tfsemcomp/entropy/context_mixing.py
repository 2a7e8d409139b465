"""Planes of few symbols <-> bytes: label maps, edge maps, without loss.

    plane uint8 [H,W] --+--> contexts --counters--> P(bit) --mixing--> P --+--> bytes
                        '--------------- learns <------------- bit --------'

A pixel is one or a few binary decisions. The probability of each is mixed from adaptive
counters of several contexts, and coded arithmetically; coder and decoder learn alike
from what was coded. Planes of three and more symbols are coded by candidates: is it the
first label among the neighbours, the second, the third, another one? Planes of two
symbols are coded pixel by pixel, with patterns that suit thin lines.

A plane that the decoder has anyway, such as the label map to its instances' borders,
may serve as context (`side`). What was learnt from other planes may be the start
(`prime`), and belongs to a model then.

All is whole numbers, hence the same on every machine. No check is included: damaged
bytes give BitstreamError or another plane, so that a container must have its own.
Time and memory go with the pixels, whatever the bytes say: a caller compares the size
with its limits first.

Source: docs/BITSTREAM.md, "Planes" (normative).
"""

import dataclasses
import functools
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tfsemcomp import images
from tfsemcomp.entropy import archives, context_mixing_tables
from tfsemcomp.errors import BitstreamError, ModelMismatchError, UnavailableError

# Beside saved_model.pb.
FILE_NAME = "primed.npz"
MIN_SYMBOLS, MAX_SYMBOLS = 2, 256
# What a file of learnt state may unpack to: every counter and its place take 84 MB.
MAX_FILE_BYTES = 2**27
# Visits that a learnt counter keeps, so that it still follows a new plane.
PRIMED_VISITS = 30
_NO_SIDE = (0, 0)
_CHECKSUM = "sha256"
_SYMBOLS = "symbols"


@dataclasses.dataclass(frozen=True, eq=False)
class _Model:
    """How planes of some symbols are coded.

    Attributes:
        fresh: name -> array of what is learnt, as it is before any plane.
        rates: int64, of the counters.
        code: (plane, symbols, side, state, data, decoding) -> status, bytes.
    """

    fresh: Mapping[str, np.ndarray]
    rates: np.ndarray
    code: Callable[..., tuple[int, np.ndarray]]


@dataclasses.dataclass(frozen=True, eq=False)
class Primed:
    """What was learnt from planes, as a start for others.

    Attributes:
        symbols: 2 to 256, of all the planes.
        state: name -> array; made by `prime` or `load` only.
    """

    symbols: int
    state: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        _check_symbols(self.symbols)
        model = _model(self.symbols)
        if set(self.state) != set(model.fresh):
            raise ValueError(
                f"`state` must hold {sorted(model.fresh)}, received "
                f"{sorted(self.state)}"
            )
        # A kernel reads wherever these numbers lead it.
        for name, fresh in model.fresh.items():
            array = self.state[name]
            if array.dtype != fresh.dtype or array.shape != fresh.shape:
                raise ValueError(
                    f"`state` must have {name} as {fresh.dtype} {list(fresh.shape)}, "
                    f"received {array.dtype} {list(array.shape)}"
                )
        _check_counters(self.state["counters"], len(model.rates))
        _check_weights(self.state["weights"])


def _check_counters(counters: np.ndarray, rates: int) -> None:
    kernels, _ = _kernels()
    probability = counters >> kernels.VISIT_BITS
    visits = counters & ((1 << kernels.VISIT_BITS) - 1)
    low, high = kernels.LOWEST_PROBABILITY, kernels.HIGHEST_PROBABILITY
    if probability.min() < low or probability.max() > high or visits.max() >= rates:
        raise ValueError(
            f"`state` must have counters of probabilities from {low} to {high} and "
            f"less than {rates} visits"
        )


def _check_weights(weights: np.ndarray) -> None:
    kernels, _ = _kernels()
    limit = kernels.LARGEST_WEIGHT
    if weights.min() < -limit or weights.max() > limit:
        raise ValueError(f"`state` must have weights from {-limit} to {limit}")


def _kernels() -> tuple[Any, Any]:
    """The compiled modules, imported when first needed."""
    try:
        from tfsemcomp.entropy import context_mixing_kernels, context_mixing_lines
    except ImportError as error:
        raise UnavailableError(
            f"coding of planes needs Numba, which cannot be imported ({error}); pip "
            "install numba."
        ) from error
    return context_mixing_kernels, context_mixing_lines


@functools.cache
def _labels() -> _Model:
    """The model of three and more symbols."""
    kernels, _ = _kernels()
    constant = context_mixing_tables.load()
    tables = kernels.LABEL_TABLES
    fresh = {
        "counters": np.full((tables, kernels.CELLS), kernels.FRESH, np.uint32),
        "weights": np.full(
            (kernels.LABEL_SETS, tables), kernels.FRESH_WEIGHT, np.int32
        ),
    }
    rates = context_mixing_tables.visit_rates(16, 250)

    def code(plane, symbols, side, state, data, decoding):
        return kernels.code_labels(
            plane,
            symbols,
            side,
            state["counters"],
            state["weights"],
            constant.stretch,
            constant.squash,
            rates,
            data,
            decoding,
        )

    return _Model(fresh, rates, code)


@functools.cache
def _lines() -> _Model:
    """The model of two symbols."""
    kernels, lines = _kernels()
    constant = context_mixing_tables.load()
    weights = np.full((lines.MIXERS * lines.SETS, lines.INPUTS), 5243, np.int32)
    weights[:, -1] = 0
    places = lines.CORRECTION_STEP * np.arange(lines.CORRECTION_NODES)
    nodes = constant.squash[np.minimum(places, len(constant.squash) - 1)]
    shape = (1 << lines.CORRECTION_BITS, lines.CORRECTION_NODES)
    shape_of_counters = (lines.CONTEXTS, lines.LEARNT_CELLS)
    fresh = {
        "counters": np.full(shape_of_counters, kernels.FRESH, np.uint32),
        "weights": weights,
        "corrections": np.broadcast_to(nodes.astype(np.uint16), shape),
    }
    rates = context_mixing_tables.visit_rates(20, 1000)

    def code(plane, _symbols, side, state, data, decoding):
        return lines.code_lines(
            plane,
            side,
            state["counters"],
            state["weights"],
            state["corrections"],
            constant.stretch,
            constant.squash,
            rates,
            data,
            decoding,
        )

    return _Model(fresh, rates, code)


def _model(symbols: int) -> _Model:
    return _lines() if symbols == MIN_SYMBOLS else _labels()


def _check_symbols(symbols: int) -> None:
    if not isinstance(symbols, (int, np.integer)) or not (
        MIN_SYMBOLS <= symbols <= MAX_SYMBOLS
    ):
        raise ValueError(
            f"`symbols` must be an integer from {MIN_SYMBOLS} to {MAX_SYMBOLS}, "
            f"received {symbols!r}"
        )


def _check_plane(plane: np.ndarray, name: str) -> None:
    if not isinstance(plane, np.ndarray) or plane.dtype != np.uint8 or plane.ndim != 2:
        shape = list(np.shape(plane))
        found = getattr(plane, "dtype", type(plane).__name__)
        raise ValueError(f"`{name}` must be uint8 [H,W], received {found} {shape}")
    if not plane.size:
        raise ValueError(
            f"`{name}` must have at least a pixel, received {list(plane.shape)}"
        )


def _check_labels(plane: np.ndarray, symbols: int) -> None:
    _check_plane(plane, "plane")
    if plane.max() >= symbols:
        raise ValueError(
            f"`plane` must hold labels below `symbols` = {symbols}, received "
            f"{plane.max()}"
        )


def _checked_side(side: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """The side plane as kernels take it, [0,0] for none."""
    if side is None:
        return np.zeros(_NO_SIDE, np.uint8)
    _check_plane(side, "side")
    if side.shape != shape:
        raise ValueError(
            f"`side` must have the size of the plane, {list(shape)}, received "
            f"{list(side.shape)}"
        )
    return np.array(side, order="C")


def _state(symbols: int, primed: Primed | None) -> dict[str, np.ndarray]:
    """A copy of what is known at the start, to learn in."""
    if primed is None:
        source = _model(symbols).fresh
    elif not isinstance(primed, Primed):
        raise ValueError(
            "`primed` must come from `prime` or `load`, received "
            f"{type(primed).__name__}"
        )
    elif primed.symbols != symbols:
        raise ValueError(
            f"`primed` must come from planes of {symbols} symbols, received one of "
            f"{primed.symbols}"
        )
    else:
        source = primed.state
    return {name: np.array(array, order="C") for name, array in source.items()}


def encode(
    plane: np.ndarray,
    symbols: int,
    side: np.ndarray | None = None,
    primed: Primed | None = None,
) -> bytes:
    """Codes a plane without loss.

    Args:
        plane: uint8 [H,W], labels below `symbols`.
        symbols: 2 to 256.
        side: uint8 [H,W], any values, that the decoder has too; None for none.
        primed: a start that the decoder has too; None for none.

    Returns: the bytes; the same on every machine.
    Raises:
        ValueError: if an argument is none of this.
        UnavailableError: without Numba.
    """
    _check_symbols(symbols)
    _check_labels(plane, symbols)
    return _encode(plane, symbols, side, _state(symbols, primed))


def _encode(
    plane: np.ndarray,
    symbols: int,
    side: np.ndarray | None,
    state: dict[str, np.ndarray],
) -> bytes:
    """Codes a checked plane, and learns from it."""
    room = np.empty(plane.size // 32 + 64, np.uint8)
    checked = _checked_side(side, plane.shape)
    own = np.array(plane, order="C")
    _, data = _model(symbols).code(own, int(symbols), checked, state, room, False)
    return data.tobytes()


def decode(
    data: bytes,
    height: int,
    width: int,
    symbols: int,
    side: np.ndarray | None = None,
    primed: Primed | None = None,
) -> np.ndarray:
    """Decodes what `encode` made, given the same other arguments.

    Args:
        data: the bytes.
        height, width: of the plane, at least 1; compare them with limits before.
        symbols, side, primed: as of `encode`.

    Returns: uint8 [height,width], labels below `symbols`.
    Raises:
        ValueError: if an argument is none of this.
        BitstreamError: if the bytes end too early or too late, or stand for a label
            that is none.
        UnavailableError: without Numba.
    """
    _check_symbols(symbols)
    for name, value in (("height", height), ("width", width)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"`{name}` must be a positive integer, received {value!r}")
    if not isinstance(data, bytes):
        raise ValueError(f"`data` must be bytes, received {type(data).__name__}")
    checked = _checked_side(side, (height, width))
    state = _state(symbols, primed)
    plane = np.zeros((height, width), np.uint8)
    given = np.frombuffer(data, np.uint8).copy()
    status, _ = _model(symbols).code(plane, int(symbols), checked, state, given, True)
    kernels, _ = _kernels()
    if status == kernels.BAD_SYMBOL:
        raise BitstreamError(
            f"the coded plane has a label that is none of its {symbols}; it is damaged."
        )
    if status == kernels.WRONG_LENGTH:
        raise BitstreamError(
            f"the coded plane of {width}x{height} does not end where its "
            f"{len(data)} bytes do; it is damaged, or of another size."
        )
    return plane


def prime(
    planes: Iterable[np.ndarray],
    symbols: int,
    sides: Iterable[np.ndarray] | None = None,
) -> Primed:
    """Learns from planes what a coder of similar planes may start with.

    Args:
        planes: uint8 [H,W] each, labels below `symbols`; at least one. The last ones
            count most.
        symbols: 2 to 256.
        sides: the side plane of each; None for none.

    Returns: what was learnt.
    Raises:
        ValueError: if an argument is none of this.
        UnavailableError: without Numba.
    """
    _check_symbols(symbols)
    state = _state(symbols, None)
    count = 0
    pairs = ((p, None) for p in planes) if sides is None else _paired(planes, sides)
    for plane, side in pairs:
        _check_labels(plane, symbols)
        _encode(plane, symbols, side, state)
        count += 1
    if not count:
        raise ValueError("`planes` must be at least one plane, received none")
    state["counters"] = _cut(state["counters"])
    return Primed(int(symbols), state)


def _paired(
    planes: Iterable[np.ndarray], sides: Iterable[np.ndarray]
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    try:
        yield from zip(planes, sides, strict=True)
    except ValueError as error:
        raise ValueError(
            "`sides` must be as many as `planes`, one side plane for each"
        ) from error


def _cut(counters: np.ndarray) -> np.ndarray:
    """Counters with at most `PRIMED_VISITS`, and fresh ones for those met once.

    A counter that was met once knows little, and most counters were: without them a
    file is a fraction as large.
    """
    kernels, _ = _kernels()
    visits = counters & ((1 << kernels.VISIT_BITS) - 1)
    cut = counters - visits + np.minimum(visits, PRIMED_VISITS)
    return np.where(visits < 2, kernels.FRESH, cut).astype(np.uint32)


def save(path: str | os.PathLike[str], primed: Primed) -> None:
    """Writes what was learnt to an npz file with a checksum, atomically.

    Args:
        path: of the file. The same content always gives the same bytes.
        primed: of `prime`.
    Raises:
        ValueError: if `primed` is none.
        SemCompError: if the file cannot be written.
    """
    if not isinstance(primed, Primed):
        raise ValueError(
            f"`primed` must come from `prime`, received {type(primed).__name__}"
        )
    members = {_SYMBOLS: np.array([primed.symbols], np.uint16)}
    for name, fresh in sorted(_model(primed.symbols).fresh.items()):
        # Most counters were never met: where the others are, and what they hold.
        array = primed.state[name].ravel()
        places = np.flatnonzero(array != fresh.ravel())
        members[f"{name}.gaps"] = np.diff(places, prepend=0).astype(np.uint32)
        members[f"{name}.values"] = array[places]
    members[_CHECKSUM] = np.frombuffer(_digest(primed), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **members)
    images.write_atomic(path, buffer.getvalue())


def load(path: str | os.PathLike[str]) -> Primed:
    """Reads what `save` wrote.

    Whatever the file holds, no more than 128 MiB are unpacked and nothing is executed.

    Raises:
        ModelMismatchError: naming the file, if it is missing, damaged or no such file,
            or if its content does not match its checksum.
        UnavailableError: without Numba.
    """
    _kernels()
    try:
        primed, stored = _read(path)
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds
        raise ModelMismatchError(
            f"{os.fspath(path)}: is no file of a primed coder ({error}); restore the "
            "model's files."
        ) from error
    if _digest(primed) != stored:
        raise ModelMismatchError(
            f"{os.fspath(path)}: the content does not match its checksum; restore the "
            "model's files."
        )
    return primed


def _read(path: str | os.PathLike[str]) -> tuple[Primed, bytes]:
    arrays = archives.read(path, MAX_FILE_BYTES)
    stored = arrays.pop(_CHECKSUM).tobytes()
    symbols = int(arrays.pop(_SYMBOLS).item())
    _check_symbols(symbols)
    fresh = _model(symbols).fresh
    expected = {f"{name}.{part}" for name in fresh for part in ("gaps", "values")}
    if set(arrays) != expected:
        raise ValueError(f"it holds {sorted(arrays)}")
    state = {
        name: _filled(start, arrays[f"{name}.gaps"], arrays[f"{name}.values"])
        for name, start in fresh.items()
    }
    return Primed(symbols, state), stored


def _filled(fresh: np.ndarray, gaps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A copy of `fresh` with the stored values at their places."""
    array = np.array(fresh, order="C")
    if values.dtype != fresh.dtype or gaps.dtype != np.uint32 or gaps.ndim != 1:
        raise ValueError(f"it holds {values.dtype} and {gaps.dtype} {gaps.shape}")
    if len(gaps) > array.size or gaps.shape != values.shape:
        raise ValueError(f"it holds {values.shape} values at {gaps.shape} places")
    places = np.cumsum(gaps, dtype=np.int64)
    if len(places) and places[-1] >= array.size:
        raise ValueError(f"it has a place {places[-1]} of {array.size}")
    array.ravel()[places] = values
    return array


def _digest(primed: Primed) -> bytes:
    """SHA-256 of the symbols and of all arrays, little-endian, by name."""
    digest = hashlib.sha256(f"{primed.symbols}\n".encode())
    for name, array in sorted(primed.state.items()):
        little = array.astype(array.dtype.newbyteorder("<"), order="C")
        digest.update(f"{name} {list(array.shape)}\n".encode())
        digest.update(little.tobytes())
    return digest.digest()
