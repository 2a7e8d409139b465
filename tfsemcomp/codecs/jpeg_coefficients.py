"""Baseline JPEG from the inside: pixels, DCT blocks, quantised levels, file, and back.

    pixels --analyse--> Spectrum --quantise--> Coefficients --write--> file
                                                    |   ^                |
                                               file_size  `-----read-----'

Blocks are rows of 64 values in zigzag order, row by row over the image, without those
that only fill up the last MCUs. Tables are in zigzag order too.

jpeglib does the writing and reading; `to_progressive` is a lossless pass by
mozjpeg. Nothing here decides which levels to take: see `msroi_allocator`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import tempfile
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tfsemcomp import bitstream, errors, images

SUBSAMPLINGS = ("4:2:0", "4:4:4", "gray")
MAX_SIDE = 65500  # of libjpeg

# Natural position of each coefficient in zigzag order (ITU-T T.81, figure A.6).
ZIGZAG = np.array(
    sorted(
        range(64),
        key=lambda k: (
            k // 8 + k % 8,
            k // 8 if (k // 8 + k % 8) % 2 else k % 8,
        ),
    ),
    np.int64,
)
_NATURAL = np.argsort(ZIGZAG)

# Typical tables of ITU-T T.81, annex K.1, in natural order.
_LUMINANCE = """
    16 11 10 16  24  40  51  61   12 12 14 19  26  58  60  55
    14 13 16 24  40  57  69  56   14 17 22 29  51  87  80  62
    18 22 37 56  68 109 103  77   24 35 55 64  81 104 113  92
    49 64 78 87 103 121 120 101   72 92 95 98 112 100 103  99
"""
_CHROMINANCE = """
    17 18 24 47 99 99 99 99   18 21 26 66 99 99 99 99
    24 26 56 99 99 99 99 99   47 66 99 99 99 99 99 99
    99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99
    99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99
"""
LUMINANCE = np.array(_LUMINANCE.split(), np.float64)[ZIGZAG]
CHROMINANCE = np.array(_CHROMINANCE.split(), np.float64)[ZIGZAG]

_SOI_APP0_BYTES = 2 + 18
_TABLE_BYTES = 2 + 2 + 1 + 64
_CODE_TABLE_BYTES = 2 + 2 + 1 + 16
_MAX_SEGMENT_BYTES = 65533
_EXIF_PREFIX = b"Exif\x00\x00"
_ICC_PREFIX = b"ICC_PROFILE\x00"
_ICC_CHUNK_BYTES = _MAX_SEGMENT_BYTES - len(_ICC_PREFIX) - 2
# Bytes of 255 in a scan are followed by a byte of 0; of even bytes it were one of 256.
_STUFFING = 1 / 320


@dataclasses.dataclass(frozen=True)
class Layout:
    """How an image is cut into blocks.

    Attributes:
        width, height: in pixels.
        subsampling: one of `SUBSAMPLINGS`.
    """

    width: int
    height: int
    subsampling: str

    @property
    def channels(self) -> int:
        """1 for grey, else 3."""
        return 1 if self.subsampling == "gray" else 3

    @property
    def factor(self) -> int:
        """Luma samples to a chroma sample, along each side: 2 or 1."""
        return 2 if self.subsampling == "4:2:0" else 1

    @property
    def mcu_grid(self) -> tuple[int, int]:
        """Rows and columns of minimum coded units, 8 or 16 pixels wide."""
        side = 8 * self.factor
        return -(-self.height // side), -(-self.width // side)

    def grid(self, channel: int) -> tuple[int, int]:
        """Rows and columns of blocks that hold pixels of a channel."""
        side = 8 * (self.factor if channel > 0 else 1)
        return -(-self.height // side), -(-self.width // side)

    def filling(self, channel: int) -> int:
        """Number of further blocks that fill up the last units of a channel."""
        if self.channels == 1 or channel > 0:
            return 0
        rows, columns = self.grid(channel)
        unit_rows, unit_columns = self.mcu_grid
        return unit_rows * unit_columns * self.factor**2 - rows * columns

    def scan_order(self, channel: int) -> np.ndarray:
        """Indices of a channel's blocks as an interleaved scan visits them, int64."""
        rows, columns = self.grid(channel)
        indices = np.arange(rows * columns)
        if channel > 0 or self.factor == 1:
            return indices
        row, column = np.divmod(indices, columns)
        return np.lexsort((column % 2, row % 2, column // 2, row // 2))


@dataclasses.dataclass(frozen=True, eq=False)
class Spectrum:
    """DCT coefficients before quantisation.

    Attributes:
        layout: of the image.
        blocks: by channel (Y, Cb, Cr) float32 [n,64].
    """

    layout: Layout
    blocks: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Coefficients:
    """What a JPEG file holds.

    Attributes:
        layout: of the image.
        levels: by channel (Y, Cb, Cr) int16 [n,64].
        tables: uint16 [64] for luma and, unless the image is grey, for chroma; steps
            from 1 to 255.
    """

    layout: Layout
    levels: tuple[np.ndarray, ...]
    tables: tuple[np.ndarray, ...]

    def table(self, channel: int) -> np.ndarray:
        """The table of a channel."""
        return self.tables[min(channel, 1)]


def quality_scale(quality: int) -> float:
    """The factor by which libjpeg multiplies the annex K tables, 0 to 50.

    Args:
        quality: 1 to 100.
    """
    return (5000 // quality if quality < 50 else 200 - 2 * quality) / 100


def scale_table(base: np.ndarray, scale: float) -> np.ndarray:
    """A quantisation table, rounded and clipped as libjpeg does.

    Args:
        base: float [64].
        scale: factor.

    Returns: uint16 [64], 1 to 255.
    """
    # libjpeg's arithmetic is that of integers: keep 0.285 * 100 from being 28.4999.
    percent = round(100 * scale, 6)
    return np.clip(np.floor((base * percent + 50) / 100), 1, 255).astype(np.uint16)


def quality_tables(quality: int, subsampling: str) -> tuple[np.ndarray, ...]:
    """The tables of libjpeg at a quality, as in `Coefficients.tables`."""
    scale = quality_scale(quality)
    luma = scale_table(LUMINANCE, scale)
    if subsampling == "gray":
        return (luma,)
    return luma, scale_table(CHROMINANCE, scale)


def resolve_subsampling(pixels: np.ndarray, wish: str) -> str:
    """Turns "auto" into "gray" for a grey picture, else "4:2:0".

    Args:
        pixels: uint8 [H,W,3].
        wish: "auto" or one of `SUBSAMPLINGS`, returned as it is.

    Raises: ValueError for anything else.
    """
    if wish in SUBSAMPLINGS:
        return wish
    if wish != "auto":
        raise ValueError(
            f"`subsampling` must be auto or one of {', '.join(SUBSAMPLINGS)}, "
            f"received {wish!r}"
        )
    return "gray" if _is_grey(pixels[::16, ::16]) and _is_grey(pixels) else "4:2:0"


def _is_grey(pixels: np.ndarray) -> bool:
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return np.array_equal(red, green) and np.array_equal(red, blue)


@functools.lru_cache(maxsize=1)
def _basis() -> np.ndarray:
    frequency, position = np.mgrid[:8, :8]
    basis = np.cos((2 * position + 1) * frequency * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def analyse(pixels: np.ndarray, subsampling: str, *, fit_chroma: bool) -> Spectrum:
    """Transforms an image as far as JPEG's quantiser.

    Args:
        pixels: uint8 [H,W,3], RGB.
        subsampling: one of `SUBSAMPLINGS`.
        fit_chroma: with 4:2:0, sharpen chroma so that it comes closer to the original
            after a decoder's triangle filter (libjpeg's default), rather than after
            none.

    Returns: the spectrum; its scale is that of JPEG's tables.
    """
    from tfsemcomp.codecs import jpeg_kernels

    layout = Layout(pixels.shape[1], pixels.shape[0], subsampling)
    side = 8 * layout.factor
    rows, columns = (units * side for units in layout.mcu_grid)
    pixels = np.ascontiguousarray(pixels)
    planes = list(jpeg_kernels.to_planes(pixels, rows, columns)[: layout.channels])
    if layout.factor == 2:
        planes[1:] = [jpeg_kernels.halve(plane, fit_chroma) for plane in planes[1:]]
    blocks = tuple(
        jpeg_kernels.to_blocks(plane, *layout.grid(channel), _basis(), ZIGZAG)
        for channel, plane in enumerate(planes)
    )
    return Spectrum(layout, blocks)


def quantise(
    spectrum: Spectrum,
    tables: tuple[np.ndarray, ...],
    thresholds: tuple[np.ndarray, ...] | None = None,
) -> Coefficients:
    """Rounds coefficients to levels.

    Args:
        spectrum: of the image.
        tables: as in `Coefficients.tables`.
        thresholds: by channel float32 [n,64], in steps; smaller values become 0. None
            rounds to the nearest level, as plain JPEG does.
    """
    from tfsemcomp.codecs import jpeg_kernels

    levels = []
    for channel, blocks in enumerate(spectrum.blocks):
        steps = tables[min(channel, 1)].astype(np.float32)
        limits = np.full((1, 64), 0.5, np.float32)
        if thresholds is not None:
            limits = thresholds[channel]
        rounded = np.empty(blocks.shape, np.int16)
        jpeg_kernels.round_blocks(blocks, steps, limits, rounded)
        levels.append(rounded)
    return Coefficients(spectrum.layout, tuple(levels), tables)


def count_symbols(coefficients: Coefficients) -> tuple[np.ndarray, ...]:
    """Counts what a baseline scan codes.

    Returns: int64 [256] each: luma DC and AC and, unless grey, chroma DC and AC.
    """
    from tfsemcomp.codecs import jpeg_kernels

    layout = coefficients.layout
    tables = [np.zeros(256, np.int64) for _ in range(2 * min(layout.channels, 2))]
    for channel, levels in enumerate(coefficients.levels):
        of_dc, of_ac = tables[2 * min(channel, 1) : 2 * min(channel, 1) + 2]
        jpeg_kernels.count_dc(levels, layout.scan_order(channel), of_dc)
        jpeg_kernels.count_ac(levels, of_ac)
        # Filling blocks repeat the last DC level and hold nothing else.
        of_dc[0] += layout.filling(channel)
        of_ac[jpeg_kernels.END_OF_BLOCK] += layout.filling(channel)
    return tuple(tables)


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Lengths in bits, int64 [256], of the Huffman codes for int64 [256] counts."""
    from tfsemcomp.codecs import jpeg_kernels

    lengths = np.empty(256, np.int64)
    jpeg_kernels.code_lengths(counts, lengths)
    return lengths


def magnitude_bits(table: int) -> np.ndarray:
    """Bits that follow each symbol, int64 [256], in an even (DC) or odd (AC) table."""
    symbols = np.arange(256)
    return np.minimum(symbols, 16) if table % 2 == 0 else symbols & 15


def scan_bits(symbols: tuple[np.ndarray, ...]) -> int:
    """Bits of the scan with optimal Huffman codes, without filling and stuffing.

    Args:
        symbols: of `count_symbols`.
    """
    return sum(
        int(counts @ (code_lengths(counts) + magnitude_bits(table)))
        for table, counts in enumerate(symbols)
    )


def header_size(layout: Layout, symbols: tuple[np.ndarray, ...]) -> int:
    """Bytes of the file around its scan, with optimal Huffman codes; exact.

    Args:
        layout: of the image.
        symbols: of `count_symbols`.
    """
    codes = sum(_CODE_TABLE_BYTES + np.count_nonzero(counts) for counts in symbols)
    quantisation = _TABLE_BYTES * min(layout.channels, 2)
    frame = 10 + 3 * layout.channels
    scan = 8 + 2 * layout.channels
    end = 2
    return int(_SOI_APP0_BYTES + quantisation + frame + codes + scan + end)


def estimate_size(
    layout: Layout, symbols: tuple[np.ndarray, ...], stuffing: float = _STUFFING
) -> float:
    """Bytes of the baseline file with optimised Huffman codes, without writing it.

    Exact but for the zero bytes stuffed after bytes of 255, 0.1 to 0.4 % of the scan.

    Args:
        layout: of the image.
        symbols: of `count_symbols`.
        stuffing: share of stuffed bytes to expect in the scan.
    """
    scan = -(-scan_bits(symbols) // 8)
    return header_size(layout, symbols) + scan * (1 + stuffing)


def plain(pixels: np.ndarray, quality: int, subsampling: str) -> bytes:
    """The JPEG file of libjpeg-turbo, as Pillow has it: what others are compared with.

    Args:
        pixels: uint8 [H,W,3], RGB.
        quality: 1 to 100.
        subsampling: one of `SUBSAMPLINGS`.

    Returns: a baseline file with optimised Huffman codes, without metadata.
    """
    image = Image.fromarray(pixels)
    options: dict[str, object] = {"subsampling": subsampling}
    if subsampling == "gray":
        image, options = image.convert("L"), {}
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(quality), optimize=True, **options)
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    """Decodes a JPEG file of this package's own making to uint8 [H,W,3]."""
    limits = bitstream.NO_LIMITS
    return images.load_bytes(data, name="JPEG file", limits=limits).pixels


def write(coefficients: Coefficients) -> bytes:
    """Makes a baseline JPEG file with optimised Huffman codes.

    Raises: SemCompError if no temporary file can be had.
    """
    import jpeglib

    layout = coefficients.layout
    planes = [
        levels[:, _NATURAL].reshape(*layout.grid(channel), 8, 8)
        for channel, levels in enumerate(coefficients.levels)
    ]
    planes += [None] * (3 - len(planes))
    tables = np.stack([table[_NATURAL] for table in coefficients.tables])
    picture = jpeglib.from_dct(
        *(None if plane is None else np.ascontiguousarray(plane) for plane in planes),
        qt=np.ascontiguousarray(tables.reshape(-1, 8, 8), np.uint16),
        quant_tbl_no=np.array([0, 1, 1][: layout.channels]),
    )
    # What jpeglib guesses from the number of blocks is wrong for many sizes.
    picture.height, picture.width = layout.height, layout.width
    picture.samp_factor = [[layout.factor] * 2, [1, 1], [1, 1]][: layout.channels]
    with _typed_errors(), _scratch_file() as path:
        picture.write_dct(path, flags=["+OPTIMIZE_CODING"])
        with open(path, "rb") as file:
            return file.read()


def read(data: bytes) -> Coefficients:
    """Reads the levels of a JPEG file that this package wrote.

    Only for such files: libjpeg ends the process on some broken ones.

    Args:
        data: the whole file; grey, 4:2:0 or 4:4:4, baseline or progressive.

    Raises: SemCompError if no temporary file can be had.
    """
    import jpeglib

    with _typed_errors(), _scratch_file() as path:
        with open(path, "wb") as file:
            file.write(data)
        picture = jpeglib.read_dct(path)
        picture.load()
    planes = [picture.Y]
    subsampling = "gray"
    if picture.has_chrominance:
        planes += [picture.Cb, picture.Cr]
        subsampling = "4:2:0" if picture.samp_factor[0][0] == 2 else "4:4:4"
    layout = Layout(int(picture.width), int(picture.height), subsampling)
    levels = []
    for channel, plane in enumerate(planes):
        rows, columns = layout.grid(channel)
        inside = np.asarray(plane, np.int16)[:rows, :columns]
        levels.append(np.ascontiguousarray(inside.reshape(-1, 64)[:, ZIGZAG]))
    tables = tuple(
        np.asarray(table, np.uint16).reshape(64)[ZIGZAG]
        for table in picture.qt[: min(layout.channels, 2)]
    )
    return Coefficients(layout, tuple(levels), tables)


def verify(data: bytes, coefficients: Coefficients) -> None:
    """Checks that a file holds exactly these coefficients.

    Raises: SemCompError if it does not.
    """
    found = read(data)
    pairs = zip(
        (*found.levels, *found.tables),
        (*coefficients.levels, *coefficients.tables),
        strict=False,
    )
    same = found.layout == coefficients.layout and all(
        np.array_equal(one, other) for one, other in pairs
    )
    if not same:
        raise errors.SemCompError(
            "the JPEG file that jpeglib wrote does not hold what was encoded; "
            "nothing was kept: install jpeglib again"
        )


def to_progressive(data: bytes) -> bytes:
    """Turns a JPEG file into a progressive one with the same coefficients.

    The scans are those of mozjpeg's search, mostly smaller than the baseline file.

    Raises: UnavailableError if mozjpeg-lossless-optimization is not installed.
    """
    try:
        import mozjpeg_lossless_optimization as mozjpeg
    except ImportError as error:
        raise errors.UnavailableError(
            "`progressive` needs mozjpeg: pip install mozjpeg-lossless-optimization"
        ) from error
    return mozjpeg.optimize(data)


def metadata_segments(exif: bytes | None, icc: bytes | None) -> bytes:
    """Makes the JPEG segments that carry an EXIF block and an ICC profile.

    Args:
        exif: with or without the prefix that JPEG puts before it; None or empty for
            none.
        icc: the profile; None or empty for none.

    Raises: ValueError if one is larger than JPEG can hold.
    """
    segments = []
    if exif:
        body = exif if exif.startswith(_EXIF_PREFIX) else _EXIF_PREFIX + exif
        if len(body) > _MAX_SEGMENT_BYTES:
            raise ValueError(
                f"`exif` must have at most {_MAX_SEGMENT_BYTES - len(_EXIF_PREFIX)} "
                f"bytes in JPEG, received {len(exif)}"
            )
        segments.append(_segment(0xE1, body))
    chunks = [
        icc[start : start + _ICC_CHUNK_BYTES]
        for start in range(0, len(icc or b""), _ICC_CHUNK_BYTES)
    ]
    if len(chunks) > 255:
        raise ValueError(
            f"`icc` must have at most {255 * _ICC_CHUNK_BYTES} bytes in JPEG, "
            f"received {len(icc)}"
        )
    for index, chunk in enumerate(chunks, 1):
        body = _ICC_PREFIX + bytes((index, len(chunks))) + chunk
        segments.append(_segment(0xE2, body))
    return b"".join(segments)


def insert_segments(data: bytes, segments: bytes) -> bytes:
    """Puts segments behind the JFIF header of a file that this module made."""
    return data[:_SOI_APP0_BYTES] + segments + data[_SOI_APP0_BYTES:]


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


@contextlib.contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.SemCompError(
            f"cannot use a temporary file in {tempfile.gettempdir()} "
            f"({error.strerror or error}); make room there or set TMPDIR"
        ) from error


@contextlib.contextmanager
def _scratch_file() -> Iterator[str]:
    """A path that only this call knows; libjpeg reads and writes files alone."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryDirectory(prefix="tfsemcomp-") as folder:
            yield os.path.join(folder, "picture.jpg")
        return
    # A file in memory: libjpeg ends the process when a disk is full.
    descriptor = os.memfd_create("tfsemcomp", os.MFD_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
