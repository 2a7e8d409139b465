"""Binary codes <-> bytes: planes of bits under probabilities from what came before.

    codes [T',h,w,C] --bit_network--> levels --tables--> range coder --> T' payloads
    payload, planes before --bit_network--> levels --tables--> plane [h,w,C]

Each iteration is one payload that needs those before it only, so a stream can be cut
after any of them. A payload is a range-coded string of symbols 0 and 1, then the symbol
check of its plane (2 bytes). In turn the string holds:

- the mode, by table `MODE_LEVEL`. 1: the bits that follow are coded by the tables that
  their contexts select; 0: by the even table `EVEN`, which costs at most a byte more
  than packed bits. The encoder takes the shorter one;
- in adaptive streams one continue bit for each cell that took part in the iteration
  before (in the first iteration: for each cell), even y + x first, row by row. 1: the
  cell takes part. Its level depends on the iteration, on how many of the cell's four
  neighbours took part in the iteration before and, for odd y + x, on how many of them
  go on;
- the bits of the cells that take part, in the passes of `bit_network`, each pass cell
  by cell in row-major order.

Everything that selects tables is exact, hence the same on every machine.
"""

import dataclasses
import hashlib
import io
import os
from collections.abc import Callable

import numpy as np

from tfsemcomp import images
from tfsemcomp.entropy import archives, bit_network, range_coder
from tfsemcomp.entropy.bit_network import EVEN, LEVELS, LEVELS_PER_UNIT, Network
from tfsemcomp.entropy.checks import SYMBOL_CHECK_BYTES, symbol_check
from tfsemcomp.entropy.tables import MAX_PRECISION, Tables
from tfsemcomp.errors import BitstreamError, ModelMismatchError

# Beside saved_model.pb.
FILE_NAME = "contexts.npz"
# Costs .026 bits for contexts, 5.8 bits for even bits.
MODE_LEVEL = 48
MAX_FILE_BYTES = 2**26
_NETWORK_FIELDS = tuple(field.name for field in dataclasses.fields(Network))
_SCALARS = ("shift", "groups")
_CHECKSUM = "sha256"


def level_tables() -> Tables:
    """The 64 tables of levels; built when a model is made, and kept with it.

    Level l gives 1 the probability 1 / (1 + exp((EVEN - l) / LEVELS_PER_UNIT)), rounded
    to 16 bits and never 0 or 1.
    """
    logits = (np.arange(LEVELS) - EVEN) / LEVELS_PER_UNIT
    total = 1 << MAX_PRECISION
    zeros = np.clip(np.rint(total / (1 + np.exp(logits))), 1, total - 1)
    rows = [[MAX_PRECISION, 0, zero, total] for zero in zeros]
    return Tables(np.int32(rows).ravel(), np.zeros(LEVELS, np.int32))


@dataclasses.dataclass(frozen=True, eq=False)
class BitModel:
    """All that coding depends on.

    Attributes:
        network: that predicts bits of codes.
        continue_levels: uint8 [T,5,6], levels of continue bits: iteration, neighbours
            that took part before, neighbours that go on (5: not known yet).
        tables: 64, of the symbols 0 and 1, table `EVEN` with even frequencies.

    Raises: ValueError if they are none of this.
    """

    network: Network
    continue_levels: np.ndarray
    tables: Tables = dataclasses.field(default_factory=level_tables)

    def __post_init__(self) -> None:
        levels = np.asarray(self.continue_levels)
        shape = (self.network.iterations, *bit_network.MASK_CONTEXTS)
        if levels.dtype != np.uint8 or levels.shape != shape:
            raise ValueError(
                f"`continue_levels` must be uint8 {list(shape)}, received "
                f"{levels.dtype} {list(levels.shape)}"
            )
        if levels.max() >= LEVELS:
            raise ValueError(
                f"`continue_levels` must be below {LEVELS}, received {levels.max()}"
            )
        levels = levels.copy()
        levels.setflags(write=False)
        object.__setattr__(self, "continue_levels", levels)
        tables = self.tables
        if (
            len(tables) != LEVELS
            or tables.escapes.any()
            or (tables.counts != 2).any()
            or tables.offsets.any()
        ):
            raise ValueError(
                f"`tables` must be {LEVELS} tables of the symbols 0 and 1 without "
                "escapes"
            )
        if tables.lookup[tables.starts[EVEN] + 2] * 2 != 1 << tables.precision:
            raise ValueError(f"table {EVEN} of `tables` must have even frequencies")

    @property
    def iterations(self) -> int:
        """T, planes of a picture at most."""
        return self.network.iterations

    @property
    def channels(self) -> int:
        """C, bits of a cell in a plane."""
        return self.network.channels


def save(path: str | os.PathLike[str], model: BitModel) -> None:
    """Writes a model to an npz file with a checksum, atomically.

    The same model always gives the same bytes.

    Raises: SemCompError if the file cannot be written.
    """
    arrays = {
        name: np.asarray(getattr(model.network, name)) for name in _NETWORK_FIELDS
    }
    arrays["continue_levels"] = model.continue_levels
    arrays["lookup"] = model.tables.lookup
    arrays[_CHECKSUM] = np.frombuffer(_digest(arrays), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    images.write_atomic(path, buffer.getvalue())


def load(path: str | os.PathLike[str]) -> BitModel:
    """Reads what `save` wrote.

    Whatever the file holds, no more than 64 MiB are unpacked, nothing is executed, and
    the model that comes out is one whose sums are exact.

    Raises:
        ModelMismatchError: naming the file, if it is missing, damaged, too large or no
            model of contexts, or if its content does not match its checksum.
    """
    try:
        arrays = _read(path)
        stored = arrays.pop(_CHECKSUM).tobytes()
        fields = {name: arrays[name] for name in _NETWORK_FIELDS}
        for name in _SCALARS:
            fields[name] = fields[name].astype(np.int64, casting="safe").item()
        network = Network(**fields)
        tables = Tables(arrays["lookup"], np.zeros(LEVELS, np.int32))
        model = BitModel(network, arrays["continue_levels"], tables)
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds
        raise ModelMismatchError(
            f"{os.fspath(path)}: is no model of bit contexts ({error}); restore the "
            "model's files."
        ) from error
    if _digest(arrays) != stored:
        raise ModelMismatchError(
            f"{os.fspath(path)}: the contexts do not match their checksum; restore the "
            "model's files."
        )
    return model


def _read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    arrays = archives.read(path, MAX_FILE_BYTES)
    expected = {*_NETWORK_FIELDS, "continue_levels", "lookup", _CHECKSUM}
    if set(arrays) != expected:
        raise ValueError(f"it holds {sorted(arrays)}")
    return arrays


def _digest(arrays: dict[str, np.ndarray]) -> bytes:
    """SHA-256 of names, shapes and little-endian values, in the order of the names."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.name} {list(array.shape)}\n".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.digest()


# What codes or learns bits: levels int32 [...] and the known bits at these places, or
# None in a decoder -> bits bool [...].
_Coder = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


class _History:
    """What a coder knows of a picture: the last two planes, and who took part."""

    def __init__(self, model: BitModel, height: int, width: int) -> None:
        self.model = model
        self.iteration = 0
        plane = bit_network.empty_plane(height, width, model.channels)
        self.past = (plane, plane)
        self.active = np.ones((height, width), bool)

    def run(
        self, coder: _Coder, adaptive: bool, codes: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Passes the next plane through `coder`.

        Args:
            coder: see there.
            adaptive: whether continue bits are coded.
            codes: int8 [h,w,C] that an encoder knows.
        Returns: the plane with border, float64 [h+2,w+2,C], and who took part, bool
            [h,w]; both for `advance`.
        """
        known = goes_on = None
        if codes is not None:
            known = np.pad(codes > 0, [(1, 1), (1, 1), (0, 0)])
            known = known.reshape(-1, codes.shape[-1])
            goes_on = codes.any(axis=-1)
        levels = self.model.continue_levels[self.iteration].astype(np.int32)

        def code_mask(
            before: np.ndarray, after: np.ndarray, cells: np.ndarray
        ) -> np.ndarray:
            return coder(
                levels[before, after], None if goes_on is None else goes_on[cells]
            )

        def code(levels: np.ndarray, cells: np.ndarray, group: slice) -> np.ndarray:
            return coder(levels, None if known is None else known[cells, group])

        active = self.active
        if adaptive:
            active = bit_network.run_mask(active, code_mask)
        plane = bit_network.run(
            self.model.network, self.iteration, self.past, active, code
        )
        return plane, active

    def advance(self, plane: np.ndarray, active: np.ndarray) -> None:
        """Takes the plane as the last one."""
        self.past = (plane, self.past[0])
        self.active = active
        self.iteration += 1


def _check_codes(
    model: BitModel, codes: np.ndarray, stops: np.ndarray | None
) -> np.ndarray:
    """Returns the codes, after a look at all that callers could get wrong."""
    codes = np.asarray(codes)
    if (
        codes.dtype != np.int8
        or codes.ndim != 4
        or not codes.size
        or codes.shape[-1] != model.channels
        or len(codes) > model.iterations
    ):
        raise ValueError(
            f"`codes` must be int8 [T',h,w,{model.channels}] with T' from 1 to "
            f"{model.iterations}, received {codes.dtype} {list(codes.shape)}"
        )
    numbers = np.full(codes.shape[1:3], model.iterations)
    if stops is not None:
        numbers = np.asarray(stops)
        if (
            numbers.dtype.kind not in "iu"
            or numbers.shape != codes.shape[1:3]
            or numbers.min() < 0
            or numbers.max() > model.iterations
        ):
            raise ValueError(
                f"`stops` must be integers {list(codes.shape[1:3])} from 0 to "
                f"{model.iterations}, received {numbers.dtype} {list(numbers.shape)}"
            )
    active = numbers > np.arange(len(codes))[:, None, None]
    if not (abs(codes) == active[..., None]).all():
        raise ValueError(
            "`codes` must be -1 or +1 in cells that take part, and 0 in those that "
            "have stopped"
        )
    return codes


class _Recorder:
    """A coder that notes levels and bits; the first one is the mode."""

    def __init__(self) -> None:
        self.levels = [np.int32([MODE_LEVEL])]
        self.bits = [np.int32([1])]

    def __call__(self, levels: np.ndarray, known: np.ndarray) -> np.ndarray:
        self.levels.append(levels.ravel())
        self.bits.append(known.ravel().astype(np.int32))
        return known

    def even(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """What is coded instead where contexts do not pay: bits and levels."""
        levels = [np.full_like(item, EVEN) for item in self.levels[1:]]
        pairs = zip(self.bits[1:], levels, strict=True)
        return [(np.int32([0]), self.levels[0]), *pairs]

    def predicted(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The bits under their levels."""
        return list(zip(self.bits, self.levels, strict=True))


def _record(
    model: BitModel, codes: np.ndarray, stops: np.ndarray | None
) -> list[_Recorder]:
    codes = _check_codes(model, codes, stops)
    history = _History(model, *codes.shape[1:3])
    records = []
    for plane in codes:
        recorder = _Recorder()
        history.advance(*history.run(recorder, stops is not None, plane))
        records.append(recorder)
    return records


def encode(
    model: BitModel, codes: np.ndarray, stops: np.ndarray | None = None
) -> list[bytes]:
    """Codes the planes of a picture.

    Args:
        model: the contexts.
        codes: int8 [T',h,w,C], T' from 1 to T; -1 or +1, and 0 in cells that have
            stopped.
        stops: integers [h,w], 0 to T: in how many iterations each cell takes part; None
            for all of them, which costs no continue bits.
    Returns: T' payloads, none longer than its bits packed, and 3 bytes.
    Raises: ValueError if shapes, dtypes or values are none of these.
    """
    payloads = []
    records = _record(model, codes, stops)
    for plane, record in zip(codes, records, strict=True):
        coded = _code(model.tables, record.predicted())
        count = sum(bits.size for bits in record.bits)
        if 8 * len(coded) > count:
            coded = min(coded, _code(model.tables, record.even()), key=len)
        payloads.append(coded + symbol_check(plane.astype(np.int32)))
    return payloads


def _code(tables: Tables, parts: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    encoder = range_coder.Encoder(tables, 1)
    for bits, levels in parts:
        encoder.put(bits[None], levels[None])
    return encoder.finish()[0]


class Decoder:
    """Decodes the payloads of a picture one by one.

    Args:
        model: the encoder's.
        height: of the planes in cells, h > 0.
        width: w > 0.
        adaptive: whether the encoder had `stops`.
    Raises: ValueError if the size is none.
    """

    def __init__(
        self, model: BitModel, height: int, width: int, adaptive: bool
    ) -> None:
        if height < 1 or width < 1:
            raise ValueError(
                f"`height` and `width` must be at least 1, received {height} and "
                f"{width}"
            )
        self._history = _History(model, height, width)
        self._adaptive = adaptive

    def take(self, data: bytes) -> np.ndarray:
        """Decodes the next iteration.

        Args:
            data: its payload.
        Returns: int8 [h,w,C], -1 or +1, and 0 in cells that have stopped.
        Raises:
            ValueError: if `data` is not bytes.
            BitstreamError: if it is damaged, which a damaged one escapes with a chance
                of 2**-16, or there are no more iterations; the decoder stays as it was.
        """
        if not isinstance(data, bytes):
            raise ValueError(f"`data` must be bytes, received {type(data).__name__}")
        history = self._history
        model = history.model
        if history.iteration == model.iterations:
            raise BitstreamError(
                f"there are more binary codes than the {model.iterations} iterations "
                "of the model"
            )
        if len(data) < SYMBOL_CHECK_BYTES:
            raise BitstreamError("binary codes end before their check")
        coded, check = data[:-SYMBOL_CHECK_BYTES], data[-SYMBOL_CHECK_BYTES:]
        decoder = range_coder.Decoder(model.tables, [coded])
        mode = decoder.take(np.int32([[MODE_LEVEL]])).item()

        def coder(levels: np.ndarray, _: None) -> np.ndarray:
            levels = levels if mode else np.full_like(levels, EVEN)
            return decoder.take(levels[None])[0].astype(bool)

        plane, active = history.run(coder, self._adaptive)
        decoder.finish()
        codes = plane[1:-1, 1:-1].astype(np.int32)
        if symbol_check(codes) != check:
            raise BitstreamError(
                "binary codes do not match their check: they are damaged or were made "
                "with another model"
            )
        history.advance(plane, active)
        return codes.astype(np.int8)


def estimate_bits(
    model: BitModel, codes: np.ndarray, stops: np.ndarray | None = None
) -> np.ndarray:
    """The information that the contexts leave in the codes, continue bits included.

    `encode` needs these bits, the check and at most a byte more.

    Args:
        model, codes, stops: as for `encode`.
    Returns: float64 [T'], bits.
    Raises: ValueError as `encode`.
    """
    return np.array(
        [
            min(
                _information(model.tables, record.predicted()),
                _information(model.tables, record.even()),
            )
            for record in _record(model, codes, stops)
        ]
    )


def _information(tables: Tables, parts: list[tuple[np.ndarray, np.ndarray]]) -> float:
    bits, levels = (np.concatenate(items)[None] for items in zip(*parts, strict=True))
    return float(range_coder.estimate_bits(tables, bits, levels)[0])
