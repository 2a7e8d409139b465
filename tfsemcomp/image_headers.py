"""What the first bytes of image files say, read without any image library.

Pure functions on bytes for `images`: which format a file has, whether all of it is
there, its bit depth, its size where the library would decode before telling it, and
the orientation in an EXIF block. Each takes arbitrary bytes, in time proportional to
their number; a `ValueError` says what is wrong with them.
"""

import re
import struct
import zlib

# A progressive JPEG may ask for any number of passes over all of its pixels in a few
# bytes each; real ones have some ten.
MAX_JPEG_SCANS = 256

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JP2_MAGIC = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_J2K_MAGIC = b"\xff\x4f\xff\x51"
_JXL_MAGIC = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_JXL_CODESTREAM = b"\xff\x0a"
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
# Brands of the image file container that do not name the codec.
_NEUTRAL_BRANDS = {b"mif1", b"msf1", b"mif2", b"miaf"}
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff]")
_JPEG_AFTER_SCAN = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
_JPEG_ALONE = {0x01, *range(0xD0, 0xD8)}
_EXIF_PREFIX = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112


class ScansError(ValueError):
    """A JPEG has more scans than `MAX_JPEG_SCANS`."""


def sniff(data: bytes) -> str | None:
    """Tells the format of an image file from its first bytes, of which 512 are enough.

    Returns: "JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JXL" or
        "JPEG2000"; None for anything else.
    """
    plain = {
        "JPEG": (b"\xff\xd8\xff",),
        "PNG": (_PNG_MAGIC,),
        "GIF": (b"GIF87a", b"GIF89a"),
        "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
        "JPEG2000": (_JP2_MAGIC, _J2K_MAGIC),
        "JXL": (_JXL_MAGIC, _JXL_CODESTREAM),
        "BMP": (b"BM",),
    }
    for name, magics in plain.items():
        if data.startswith(magics):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _sniff_brands(data)
    return None


def check_complete(name: str, data: bytes) -> None:
    """Finds cut-off files that image libraries read without complaint.

    Args:
        name: the format, as `sniff` returns it.
        data: the whole file.

    Raises: ValueError if the end of the file is missing or, in a PNG, its pixels were
        damaged; ScansError for too many scans.
    """
    if name == "JPEG":
        _check_jpeg(data)
    elif name == "PNG":
        _check_png(data)
    elif name == "JPEG2000":
        start = data.find(b"\xff\x93")
        if start < 0 or data.find(b"\xff\xd9", start) < 0:
            raise ValueError("the end of its code stream is missing")


def bit_depth(name: str, data: bytes) -> int:
    """Bits a sample, for the formats whose library does not tell: else 8."""
    if name == "PNG" and len(data) > 24:
        return data[24]
    if name == "AVIF":
        box = data.find(b"av1C", 0, 65536)
        flags = data[box + 6] if 0 <= box < len(data) - 6 else 0
        high, twelve = flags & 0x40, flags & 0x20
        return (12 if twelve else 10) if high else 8
    if name == "JPEG2000":
        start = data.find(_J2K_MAGIC)
        component = start + 42
        return (data[component] & 0x7F) + 1 if 0 <= start < len(data) - 42 else 8
    return 8


def jxl_size(data: bytes) -> tuple[int, int]:
    """Width and height that a JPEG XL file declares, before any turning.

    Raises: ValueError if there is no JPEG XL code stream.
    """
    bits = _Bits(_jxl_codestream(data)[2:32])
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else _jxl_long_side(bits)
    ratio = bits.take(3)
    if ratio:
        over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[
            ratio - 1
        ]
        return height * over // under, height
    return (8 * (bits.take(5) + 1) if small else _jxl_long_side(bits)), height


def webp_size(data: bytes) -> tuple[int, int]:
    """Width and height that a WebP file declares.

    Raises: ValueError if its first chunk declares none.
    """
    kind, chunk = data[12:16], data[20:30]
    if len(chunk) == 10:
        if kind == b"VP8X":
            value = int.from_bytes(chunk[4:10], "little")
            return (value & 0xFFFFFF) + 1, (value >> 24) + 1
        if kind == b"VP8L":
            value = int.from_bytes(chunk[1:5], "little")
            return (value & 0x3FFF) + 1, (value >> 14 & 0x3FFF) + 1
        if kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", chunk, 6)
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError("its header declares no size")


def bare_exif(block: bytes) -> bytes | None:
    """The TIFF-like block without the prefix of JPEG; None if it is no such block."""
    block = block.removeprefix(_EXIF_PREFIX)
    return block if block[:4] in (b"II*\x00", b"MM\x00*") else None


def exif_orientation(block: bytes) -> int:
    """The orientation, 1 to 8, of a block from `bare_exif`; 1 if it has none."""
    place = _orientation_place(block)
    if place is None:
        return 1
    value = struct.unpack_from(_short(block), block, place)[0]
    return value if 1 <= value <= 8 else 1


def upright_exif(block: bytes) -> bytes:
    """The same block with orientation 1, every other byte as it was."""
    place = _orientation_place(block)
    if place is None:
        return block
    return block[:place] + struct.pack(_short(block), 1) + block[place + 2 :]


def _sniff_brands(data: bytes) -> str | None:
    size = min(int.from_bytes(data[:4], "big"), 512)
    major, *others = (data[at : at + 4] for at in (8, *range(16, size - 3, 4)))
    if major not in _AVIF_BRANDS | _HEIF_BRANDS | _NEUTRAL_BRANDS:
        return None
    for brand in (major, *others):
        if brand in _AVIF_BRANDS:
            return "AVIF"
        if brand in _HEIF_BRANDS:
            return "HEIF"
    return "HEIF"


def _check_jpeg(data: bytes) -> None:
    """Walks the markers up to the end of the image."""
    at, scans = 2, 0
    while True:
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            raise ValueError("its end is missing")
        marker, at = data[found.end() - 1], found.end()
        if marker == 0xD9:
            return
        if marker in _JPEG_ALONE:
            continue
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
        if marker != 0xDA:
            continue
        scans += 1
        if scans > MAX_JPEG_SCANS:
            raise ScansError(f"it has more than {MAX_JPEG_SCANS} scans")
        after = _JPEG_AFTER_SCAN.search(data, at)
        if after is None:
            raise ValueError("its end is missing")
        at = after.start()


def _check_png(data: bytes) -> None:
    """Walks the chunks up to the end; libraries skip the CRC of the pixels."""
    at = len(_PNG_MAGIC)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        end = at + 12 + size
        kind = data[at + 4 : at + 8]
        if end > len(data):
            break
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND") and (
            zlib.crc32(memoryview(data)[at + 4 : end - 4])
            != int.from_bytes(data[end - 4 : end], "big")
        ):
            raise ValueError(f"the checksum of its {kind.decode()} chunk is wrong")
        if kind == b"IEND":
            return
        at = end
    raise ValueError("its end is missing")


class _Bits:
    """Takes bits from bytes, least significant first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("it ends within its header")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return taken


def _jxl_long_side(bits: _Bits) -> int:
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


def _jxl_codestream(data: bytes) -> bytes:
    """The beginning of the code stream, bare or in the boxes of a container."""
    if data.startswith(_JXL_CODESTREAM):
        return data[:64]
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        skipped = {b"jxlc": 0, b"jxlp": 4}.get(kind)
        if skipped is not None:
            start = at + head + skipped
            if not data.startswith(_JXL_CODESTREAM, start):
                break
            return data[start : start + 64]
        if size < head:
            break
        at += size
    raise ValueError("it has no code stream")


def _short(block: bytes) -> str:
    return "<H" if block[:2] == b"II" else ">H"


def _orientation_place(block: bytes) -> int | None:
    """Offset of the value of the orientation tag in the first directory, if any."""
    order = _short(block)[0]
    try:
        directory = struct.unpack_from(order + "I", block, 4)[0]
        entries = struct.unpack_from(order + "H", block, directory)[0]
        for entry in range(entries):
            at = directory + 2 + 12 * entry
            tag, kind, count, _ = struct.unpack_from(order + "HHIH", block, at)
            if (tag, kind, count) == (_ORIENTATION_TAG, 3, 1):
                return at + 8
    except struct.error:
        pass
    return None
