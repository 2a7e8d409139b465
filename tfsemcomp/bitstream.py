"""The container that the learned codecs write: header, chunks, checks, limits.

    header: magic 4 | version 1 | codec 1 | fingerprint 4 | width varint | height varint
    chunk:  type and layer 1 | length varint | CRC-32 4 | payload

The header takes 14 bytes at 256x256 and a chunk 8 bytes at most while its payload is
below 2 MiB. Each CRC also covers the CRC before it (the first one: the header), so a
chunk that was moved, repeated, inserted or taken from another stream is found, while a
stream that was cut after a whole chunk stays valid. docs/BITSTREAM.md is the normative
description; this module knows no codec.
"""

import dataclasses
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from tfsemcomp import errors

# The first byte never occurs in UTF-8 or ASCII text.
MAGIC = b"\xf7TSC"
VERSION = 1
# A stream with more is refused: tiny chunks would cost far more memory than bytes.
MAX_CHUNKS = 65536
MAX_LAYERS = 16
_MAX_VALUE = 2**32 - 1
_MAX_VARINT_BYTES = 5
_CRC = struct.Struct(">I")

# Numbers are part of the format: never changed, never given to another codec. Those of
# standard files name the base codec inside a `base` chunk, never a container.
CODEC_NUMBERS: dict[str, int] = {
    "msroi_jpeg": 1,
    "rnn": 2,
    "layered": 3,
    "conceptual": 4,
    "semantic_enhanced": 5,
    "hyperprior": 6,
    "jpeg": 16,
    "webp": 17,
    "jpeg2000": 18,
    "avif": 19,
    "heif": 20,
    "jxl": 21,
    "bpg": 22,
}
CONTAINER_CODECS = frozenset(
    {"rnn", "layered", "conceptual", "semantic_enhanced", "hyperprior"}
)
# 0 stays unused so that runs of zeros are no chunks; 15 is kept for an extension.
CHUNK_TYPES: dict[str, int] = {
    "meta": 1,
    "text": 2,
    "structure": 3,
    "texture": 4,
    "signal": 5,
    "hyper": 6,
    "base": 7,
    "labels": 8,
    "boundaries": 9,
    "map": 10,
    "residual": 11,
    "codes": 12,
    "colour": 13,
}
_CODEC_NAMES = {number: name for name, number in CODEC_NUMBERS.items()}
_CHUNK_NAMES = {number: name for name, number in CHUNK_TYPES.items()}


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What an input may declare; None switches a limit off.

    Attributes:
        pixels: width times height, at most.
        side: width and height, each at most.
        layers: number of layers, at most; the format itself ends at 16.
        pixels_per_byte: pixels declared over bytes of the file, at most; no picture
            worth its size comes near the default.
        seconds: that decoding a file may take, see `deadline`; off by default.
    """

    pixels: int | None = 2**28
    side: int | None = 32768
    layers: int | None = 16
    pixels_per_byte: int | None = 2**22
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("pixels", "side", "layers", "pixels_per_byte"):
            value = getattr(self, name)
            if value is not None and not (_is_int(value) and value >= 1):
                raise ValueError(
                    f"`{name}` must be a positive integer or None, received {value!r}"
                )
        value = self.seconds
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 < value < math.inf):
            raise ValueError(
                f"`seconds` must be a positive number or None, received {value!r}"
            )

    def check_size(self, width: int, height: int, size: int | None = None) -> None:
        """Raises LimitError if an image of this size is larger than allowed.

        Args:
            width, height: in pixels.
            size: of the file that declares them, bytes; None if there is none.
        """
        if self.side is not None and max(width, height) > self.side:
            raise errors.LimitError(
                f"{width}x{height} exceeds the limit of {self.side} pixels a side; "
                "raise `Limits.side` to allow it"
            )
        if (
            self.pixels_per_byte is not None
            and size is not None
            and width * height > self.pixels_per_byte * size
        ):
            raise errors.LimitError(
                f"{size} bytes declare {width}x{height} pixels, the limit is "
                f"{self.pixels_per_byte} pixels a byte; raise `Limits.pixels_per_byte` "
                "to allow it"
            )
        if self.pixels is not None and width * height > self.pixels:
            raise errors.LimitError(
                f"{width}x{height} is {width * height} pixels, the limit is "
                f"{self.pixels}; raise `Limits.pixels` to allow it"
            )

    def check_layers(self, layers: int) -> None:
        """Raises LimitError if a stream has more layers than allowed."""
        if self.layers is not None and layers > self.layers:
            raise errors.LimitError(
                f"the stream has {layers} layers, the limit is {self.layers}; raise "
                "`Limits.layers` to allow it"
            )


DEFAULT_LIMITS = Limits()
# Of what was checked already, or made here.
NO_LIMITS = Limits(pixels=None, side=None, layers=None, pixels_per_byte=None)


@dataclasses.dataclass(frozen=True)
class Header:
    """What every stream says about itself.

    Attributes:
        codec: a name of `CONTAINER_CODECS`.
        fingerprint: 4 bytes that identify model and tables; zeros without a model.
        width, height: size of the image in pixels, 1 to 2**32 - 1.
        version: of the format.

    Raises: ValueError if a field is none of these.
    """

    codec: str
    fingerprint: bytes
    width: int
    height: int
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.codec not in CONTAINER_CODECS:
            raise ValueError(
                f"`codec` must be one of {sorted(CONTAINER_CODECS)}, "
                f"received {self.codec!r}"
            )
        if not isinstance(self.fingerprint, bytes) or len(self.fingerprint) != 4:
            raise ValueError(
                f"`fingerprint` must be 4 bytes, received {self.fingerprint!r}"
            )
        for name in ("width", "height"):
            value = getattr(self, name)
            if not (_is_int(value) and 1 <= value <= _MAX_VALUE):
                raise ValueError(
                    f"`{name}` must be an integer from 1 to {_MAX_VALUE}, "
                    f"received {value!r}"
                )
        if self.version != VERSION:
            raise ValueError(f"`version` must be {VERSION}, received {self.version!r}")


@dataclasses.dataclass(frozen=True)
class Chunk:
    """One piece of a stream.

    Attributes:
        type: a name of `CHUNK_TYPES`.
        payload: the codec's own bytes, possibly none.
        layer: 0 to 15; a reader that stops before a layer needs no later chunk.

    Raises: ValueError if a field is none of these.
    """

    type: str
    payload: bytes
    layer: int = 0

    def __post_init__(self) -> None:
        if self.type not in CHUNK_TYPES:
            raise ValueError(
                f"`type` must be one of {sorted(CHUNK_TYPES)}, received {self.type!r}"
            )
        if not isinstance(self.payload, bytes):
            raise ValueError(
                f"`payload` must be bytes, received {type(self.payload).__name__}"
            )
        if len(self.payload) > _MAX_VALUE:
            raise ValueError(
                f"`payload` must have at most {_MAX_VALUE} bytes, "
                f"received {len(self.payload)}"
            )
        if not (_is_int(self.layer) and 0 <= self.layer < MAX_LAYERS):
            raise ValueError(
                f"`layer` must be an integer from 0 to {MAX_LAYERS - 1}, "
                f"received {self.layer!r}"
            )


@dataclasses.dataclass(frozen=True)
class Stream:
    """A parsed stream: its header and at least one chunk, layers in rising order."""

    header: Header
    chunks: tuple[Chunk, ...]

    @property
    def layers(self) -> int:
        """Number of layers: the highest layer of a chunk plus 1."""
        return self.chunks[-1].layer + 1


def is_container(data: bytes) -> bool:
    """Tells whether `data` begins like a stream of this format, of any version."""
    return bytes(data[: len(MAGIC)]) == MAGIC


def write(header: Header, chunks: Iterable[Chunk]) -> bytes:
    """Puts header and chunks together.

    Args:
        header: goes first.
        chunks: 1 to `MAX_CHUNKS` of them, layers never decreasing.

    Returns: the stream; `read` gives back the same header and chunks.
    Raises: ValueError if there is no chunk, too many, or a layer decreases.
    """
    chunks = tuple(chunks)
    if not 1 <= len(chunks) <= MAX_CHUNKS:
        raise ValueError(
            f"`chunks` must hold 1 to {MAX_CHUNKS} chunks, received {len(chunks)}"
        )
    layers = [chunk.layer for chunk in chunks]
    if layers != sorted(layers):
        raise ValueError(f"`chunks` must not decrease in layer, received {layers}")
    head = _header_bytes(header)
    parts = [head]
    link = head
    for chunk in chunks:
        tag = bytes([CHUNK_TYPES[chunk.type] << 4 | chunk.layer])
        start = tag + varint(len(chunk.payload))
        link = _chained_crc(link, start, chunk.payload)
        parts += [start, link, chunk.payload]
    return b"".join(parts)


def read(
    data: bytes, *, limits: Limits = DEFAULT_LIMITS, allow_torn: bool = False
) -> Stream:
    """Takes a stream apart and checks all of it.

    Args:
        data: the whole stream.
        limits: checked before anything is allocated.
        allow_torn: if the stream is cut or damaged somewhere, return the chunks before
            that place instead of raising. A layer may then lack its last chunks; the
            codec decides what to make of it.

    Returns: header and chunks, at least one.
    Raises:
        BitstreamError: for anything but an undamaged stream.
        LimitError: if the stream declares more than `limits` allow.
        ValueError: if `data` is not bytes.
    """
    data = _check_bytes(data)
    return _read(data, limits, allow_torn)[0]


def truncate(
    data: bytes,
    layers: int = MAX_LAYERS,
    *,
    max_bytes: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    allow_torn: bool = False,
) -> bytes:
    """Cuts a stream down to its first layers without re-encoding anything.

    Args:
        data: the whole stream.
        layers: chunks with a layer below this stay; at least 1.
        max_bytes: as many of these layers stay whole as fit in; None for all.
        limits: as in `read`.
        allow_torn: as in `read`: the chunks before the damage make a sound stream.

    Returns: a valid stream, a prefix of `data`.
    Raises: as `read`; SemCompError also if no chunk would be left, and naming the
        smallest size if no layer fits in `max_bytes`.
    """
    if not (_is_int(layers) and layers >= 1):
        raise ValueError(f"`layers` must be an integer >= 1, received {layers!r}")
    if max_bytes is not None and not (_is_int(max_bytes) and max_bytes >= 1):
        raise ValueError(f"`max_bytes` must be an integer >= 1, received {max_bytes!r}")
    data = _check_bytes(data)
    stream, ends = _read(data, limits, allow_torn)
    kept = sum(chunk.layer < layers for chunk in stream.chunks)
    if not kept:
        # It depends on the stream, which may be anybody's.
        raise errors.SemCompError(
            f"`layers` must be at least {stream.chunks[0].layer + 1} for this stream, "
            f"whose first chunk is of layer {stream.chunks[0].layer}; received {layers}"
        )
    if max_bytes is None:
        return data[: ends[kept - 1]]
    # A layer may be of several chunks; its last one ends it.
    of_layers = {
        chunk.layer: end
        for chunk, end in zip(stream.chunks[:kept], ends[:kept], strict=True)
    }
    fitting = [end for end in of_layers.values() if end <= max_bytes]
    if not fitting:
        raise errors.SemCompError(
            f"the first layer of the stream ends at byte {min(of_layers.values())}, so "
            f"nothing can be left of it in {max_bytes}; ask for at least that"
        )
    return data[: max(fitting)]


def describe(
    data: bytes, *, limits: Limits = DEFAULT_LIMITS, allow_torn: bool = False
) -> dict[str, Any]:
    """Says what a stream holds, without decoding and in values that JSON takes.

    Args: as of `read`.
    Returns: a dict with `version`, `codec`, `fingerprint` (8 hexadecimal digits),
        `width`, `height`, `layers`, `chunks` (a list of dicts with `type`, `layer` and
        `bytes`, the chunk's size in the stream with its overhead), `header_bytes`,
        `bytes` (of all of `data`) and `bpp` (bits of all of `data` a pixel).
    Raises: as `read`.
    """
    data = _check_bytes(data)
    stream, ends = _read(data, limits, allow_torn)
    header = stream.header
    header_bytes = len(_header_bytes(header))
    starts = [header_bytes, *ends[:-1]]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    return {
        "version": header.version,
        "codec": header.codec,
        "fingerprint": header.fingerprint.hex(),
        "width": header.width,
        "height": header.height,
        "layers": stream.layers,
        "chunks": [
            {"type": chunk.type, "layer": chunk.layer, "bytes": size}
            for chunk, size in zip(stream.chunks, sizes, strict=True)
        ],
        "header_bytes": header_bytes,
        "bytes": len(data),
        "bpp": 8 * len(data) / (header.width * header.height),
    }


class Reader:
    """Takes a stream apart while its bytes arrive.

    Args:
        limits: as in `read`.

    Attributes:
        header: None until all of it is there.
        end: bytes from the start of the stream to the end of its last whole chunk, or
            of its header.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.header: Header | None = None
        self.end = 0
        self._limits = limits
        self._error: errors.SemCompError | None = None
        # What arrived behind the last whole chunk, or from the start.
        self._rest = bytearray()
        self._place = _Place(0, b"")

    def feed(self, data: bytes) -> list[Chunk]:
        """Takes the next bytes, in pieces of any size.

        Returns: the chunks that they complete, none if they complete none.
        Raises: as `read`, as soon as the bytes tell, but where they complete chunks
            first, at the next call; ValueError if `data` is not bytes.
        """
        self._raise_error()
        self._rest += _check_bytes(data)
        found: list[Chunk] = []
        try:
            if self.header is None:
                self._take_header()
            while self._rest:
                chunk, size, self._place = _read_chunk(
                    self._rest, 0, self._place, self._limits
                )
                found.append(chunk)
                self._drop(size)
        except _CutError:
            pass
        except errors.SemCompError as error:
            if not found:
                raise
            self._error = error
        return found

    def finish(self) -> None:
        """Raises BitstreamError unless the stream ended after a whole chunk."""
        self._raise_error()
        if self.header is None or self._rest:
            part = "header" if self.header is None else "last chunk"
            raise errors.BitstreamError(f"the stream ends within its {part}")
        if not self._place.count:
            raise errors.BitstreamError("the stream ends after its header")

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _take_header(self) -> None:
        head = bytes(self._rest)
        if len(head) < len(MAGIC) and MAGIC.startswith(head):
            raise _CutError("the stream ends within its magic bytes")
        self.header, size = _read_header(head, self._limits)
        self._place = _Place(0, head[:size])
        self._drop(size)

    def _drop(self, size: int) -> None:
        del self._rest[:size]
        self.end += size


class _DamageError(errors.BitstreamError):
    """The stream ends or breaks here; what came before is sound."""


class _CutError(_DamageError):
    """The stream ends here; more bytes may mend it."""


@dataclasses.dataclass(frozen=True)
class _Place:
    """Between two chunks.

    Attributes:
        count: of chunks before it.
        link: CRC of the last of them; the header before the first.
        layer: of the last of them.
    """

    count: int
    link: bytes
    layer: int = 0


def _check_bytes(data: bytes) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ValueError(f"`data` must be bytes, received {type(data).__name__}")
    return bytes(data)


def varint(value: int) -> bytes:
    """Base 128, least significant group first, top bit set on all but the last byte."""
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def read_varint(data: bytes | bytearray, offset: int, what: str) -> tuple[int, int]:
    """Returns the value and the offset after it; one value has one form only."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if offset + index >= len(data):
            raise _CutError(f"the stream ends within the {what}")
        byte = data[offset + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise _DamageError(f"the {what} is not in its shortest form")
            return value, offset + index + 1
    raise _DamageError(f"the {what} is longer than {_MAX_VARINT_BYTES} bytes")


def _chained_crc(link: bytes, start: bytes, payload: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(payload, zlib.crc32(start, zlib.crc32(link))))


def _header_bytes(header: Header) -> bytes:
    return b"".join(
        [
            MAGIC,
            bytes([header.version, CODEC_NUMBERS[header.codec]]),
            header.fingerprint,
            varint(header.width),
            varint(header.height),
        ]
    )


def _read_header(
    data: bytes, limits: Limits, size: int | None = None
) -> tuple[Header, int]:
    """Returns the header and its size in bytes; its CRC is that of the first chunk.

    `size` is that of the whole stream in bytes, None while it is not known.
    """
    if not is_container(data):
        raise errors.BitstreamError(
            "not a tfsemcomp stream: it does not begin with the magic bytes "
            f"{MAGIC.hex()}"
        )
    fixed = len(MAGIC) + 6
    if len(data) < fixed:
        raise _CutError("the stream ends within its header")
    version, number = data[4], data[5]
    if version != VERSION:
        raise errors.BitstreamError(
            f"the stream has format version {version}, this is a reader of version "
            f"{VERSION}; a newer tfsemcomp may be needed"
        )
    codec = _CODEC_NAMES.get(number)
    if codec is None:
        raise errors.BitstreamError(
            f"the stream has codec number {number}, which is unknown here; a newer "
            "tfsemcomp may be needed"
        )
    if codec not in CONTAINER_CODECS:
        raise errors.BitstreamError(
            f"the stream has codec number {number} ({codec}), which writes files of "
            "its own and never this container"
        )
    width, offset = read_varint(data, fixed, "width")
    height, offset = read_varint(data, offset, "height")
    if not (1 <= width <= _MAX_VALUE and 1 <= height <= _MAX_VALUE):
        raise errors.BitstreamError(f"the stream declares a size of {width}x{height}")
    limits.check_size(width, height, size)
    return Header(codec, data[6:fixed], width, height, version), offset


def _read_chunk(
    data: bytes | bytearray, offset: int, place: _Place, limits: Limits
) -> tuple[Chunk, int, _Place]:
    """The chunk at `offset`, the offset of its end, and the place behind it."""
    count = place.count + 1
    if count > MAX_CHUNKS:
        raise errors.LimitError(f"the stream has more than {MAX_CHUNKS} chunks")
    where = f"chunk {count}"
    length, start = read_varint(data, offset + 1, f"length of {where}")
    end = start + _CRC.size + length
    if end > len(data):
        raise _CutError(
            f"{where} needs {end - len(data)} bytes more than the stream has"
        )
    stored = bytes(data[start : start + _CRC.size])
    payload = bytes(data[start + _CRC.size : end])
    link = _chained_crc(place.link, bytes(data[offset:start]), payload)
    if link != stored:
        raise _DamageError(
            f"{where} is damaged or out of its place (its CRC does not match)"
        )
    kind, layer = data[offset] >> 4, data[offset] & 0x0F
    if kind not in _CHUNK_NAMES:
        raise errors.BitstreamError(
            f"{where} has type {kind}, which is unknown here; a newer tfsemcomp "
            "may be needed"
        )
    if layer < place.layer:
        raise errors.BitstreamError(
            f"{where} is of layer {layer}, below layer {place.layer} before it"
        )
    limits.check_layers(layer + 1)
    chunk = Chunk(_CHUNK_NAMES[kind], payload, layer)
    return chunk, end, _Place(count, link, layer)


def _read_chunks(
    data: bytes, offset: int, limits: Limits
) -> Iterator[tuple[Chunk, int]]:
    """Yields each chunk with the offset of its end, the header ending at `offset`."""
    place = _Place(0, data[:offset])
    while offset < len(data):
        chunk, offset, place = _read_chunk(data, offset, place, limits)
        yield chunk, offset


def _read(
    data: bytes, limits: Limits, allow_torn: bool
) -> tuple[Stream, tuple[int, ...]]:
    """Returns the stream and the offsets at which its chunks end."""
    header, offset = _read_header(data, limits, len(data))
    chunks, ends = [], []
    try:
        for chunk, end in _read_chunks(data, offset, limits):
            chunks.append(chunk)
            ends.append(end)
    except _DamageError:
        if not (allow_torn and chunks):
            raise
    if not chunks:
        raise errors.BitstreamError("the stream ends after its header")
    return Stream(header, tuple(chunks)), tuple(ends)
