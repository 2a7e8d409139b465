"""From an opened image to upright uint8 RGB pixels, with notes on what was lost.

For `images`, which opens the file and turns exceptions into the package's own; here any
exception means that the file cannot be decoded.
"""

import contextlib
import dataclasses
import io
import sys
from collections.abc import Callable

import numpy as np
from absl import logging
from PIL import Image, ImageFile

from tfsemcomp import bitstream, image_encoders, image_headers, pillow_state

Opener = Callable[[io.BytesIO], ImageFile.ImageFile]

_STRIP_SAMPLES = 2**18
# Counting the frames of a GIF walks over all of them.
_MAX_GIF_BYTES_TO_COUNT = 2**24
_EXIF_IFDS = (0x8769, 0x8825)

# Pillow keeps the high byte of 16-bit samples. The same samples read with the other
# byte order give the low byte.
_NATIVE_IS_LITTLE = sys.byteorder == "little"
_LOW_BYTE_MODES = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "RGBX", "RGBA", *"RGBA")
    for order, other in (
        ("B", "L"),
        ("L", "B"),
        ("N", "B" if _NATIVE_IS_LITTLE else "L"),
    )
}
# libtiff delivers samples in the order of the machine, also from other files.
_NATIVE_LIBTIFF_MODES = {
    "I;16S": "I;16NS",
    "I;16BS": "I;16NS",
    "I;32S": "I;32NS",
    "I;32BS": "I;32NS",
    "F;32F": "F;32NF",
    "F;32BF": "F;32NF",
}


def decode(
    kind: str,
    data: bytes,
    opener: Opener,
    limits: bitstream.Limits,
    background: tuple[int, int, int],
) -> tuple[np.ndarray, bytes | None, bytes | None, tuple[str, ...]]:
    """Decodes the first frame of a file.

    Args:
        kind: the format, a name of `image_headers.sniff`.
        data: the whole file.
        opener: reads the header of a file of this format, as Pillow's plug-ins do.
        limits: of the size, checked before pixels are decoded.
        background: RGB, 0 to 255, shown through transparent pixels.

    Returns: pixels (uint8 [H,W,3], upright), EXIF block, ICC profile and notes, as
        `images.LoadedImage` holds them.
    Raises: LimitError, and any exception of the library that decodes.
    """
    # These plug-ins decode, or allocate the pixels, on opening.
    early = {"JXL": image_headers.jxl_size, "WEBP": image_headers.webp_size}
    size = early[kind](data) if kind in early else (1, 1)
    limits.check_size(*size, len(data))
    with pillow_state.allowing(size):
        image = opener(io.BytesIO(data))
    limits.check_size(*image.size, len(data))
    depth = _bit_depth(image, kind, data)
    with pillow_state.allowing(image.size):
        frames = _frame_note(image, kind, data)
        _correct_tiles(image, depth)
        low = _load_low_bytes(data, opener, image, depth, limits)
        image.load()
    # Some plug-ins know the size for certain only now.
    limits.check_size(*image.size)
    samples, notes = _samples(image, kind, depth, low)
    if depth > 8:
        notes = (f"{depth} bits a sample reduced to 8", *notes)
    pixels, note = _flatten(samples, background)
    notes = (*frames, *notes, *note)
    exif, orientation = _exif(image, kind)
    icc, note = _icc(image)
    return _upright(pixels, orientation), exif, icc, notes + note


def _bit_depth(image: ImageFile.ImageFile, kind: str, data: bytes) -> int:
    if kind == "TIFF":
        depths = image.tag_v2.get(258, (1,))
        return int(max(depths)) if isinstance(depths, tuple) else int(depths)
    if kind == "HEIF":
        return int(image.info.get("bit_depth", 8))
    return image_headers.bit_depth(kind, data)


def _frame_note(image: ImageFile.ImageFile, kind: str, data: bytes) -> tuple[str, ...]:
    if kind == "GIF" and len(data) > _MAX_GIF_BYTES_TO_COUNT:
        return ("first frame only",) if image.is_animated else ()
    frames = getattr(image, "n_frames", 1)
    what = "images" if kind in ("TIFF", "HEIF") else "frames"
    return (f"first of {frames} {what} only",) if frames > 1 else ()


def _map_tile_modes(
    image: ImageFile.ImageFile, change: Callable[[str, str], str]
) -> None:
    """Replaces the layout of the samples in each tile: change(decoder, mode)."""
    tiles = []
    for tile in image.tile:
        args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if args and isinstance(args[0], str):
            args = (change(tile.codec_name, args[0]), *args[1:])
            args = args if isinstance(tile.args, tuple) else args[0]
            tile = tile._replace(args=args)
        tiles.append(tile)
    image.tile = tiles


def _correct_tiles(image: ImageFile.ImageFile, depth: int) -> None:
    """Mends two layouts of TIFF that Pillow misreads without an error."""
    if image.format != "TIFF":
        return
    order = "L" if image.tag_v2.prefix == b"II" else "B"

    def corrected(decoder: str, mode: str) -> str:
        if decoder == "libtiff":
            return _NATIVE_LIBTIFF_MODES.get(mode, mode)
        # Uncompressed planes of 16-bit samples are taken for planes of bytes.
        if depth == 16 and mode in ("R", "G", "B", "A"):
            return f"{mode};16{order}"
        return mode

    _map_tile_modes(image, corrected)


def _load_low_bytes(
    data: bytes,
    opener: Opener,
    image: ImageFile.ImageFile,
    depth: int,
    limits: bitstream.Limits,
) -> np.ndarray | None:
    """The low bytes of 16-bit RGB samples, which Pillow drops; None if it has none."""
    if depth != 16 or image.mode not in ("RGB", "RGBA") or not image.tile:
        return None
    modes = {
        tile.args[0] if isinstance(tile.args, tuple) else tile.args
        for tile in image.tile
    }
    if not modes <= _LOW_BYTE_MODES.keys():
        return None
    again = opener(io.BytesIO(data))
    limits.check_size(*again.size)
    _correct_tiles(again, depth)
    _map_tile_modes(again, lambda _, mode: _LOW_BYTE_MODES[mode])
    again.load()
    return np.asarray(again)


@dataclasses.dataclass(frozen=True)
class _Samples:
    """Colour and alpha as decoded: integers [H,W,3] and [H,W], 0 to `peak`."""

    colour: np.ndarray
    alpha: np.ndarray | None = None
    peak: int = 255


def _samples(
    image: ImageFile.ImageFile, kind: str, depth: int, low: np.ndarray | None
) -> tuple[_Samples, tuple[str, ...]]:
    mode = image.mode
    if low is not None:
        deep = np.asarray(image).astype(np.uint16) << 8 | low
        alpha = deep[..., 3] if mode == "RGBA" else _key_alpha(image, deep, 65535)
        return _Samples(deep[..., :3], alpha, 65535), ()
    if mode.startswith("I;16"):
        return _deep_grey(image, kind, depth), ()
    if mode in ("I", "F"):
        return _stretched_grey(image)
    if mode in ("CMYK", "LAB"):
        return _converted(image)
    if mode in ("RGBa", "La"):
        image = image.convert({"RGBa": "RGBA", "La": "LA"}[mode])
    elif mode == "PA" or (mode == "P" and "transparency" in image.info):
        image = image.convert("RGBA")
    elif mode in ("P", "YCbCr", "HSV", "RGBX"):
        image = image.convert("RGB")
    elif mode == "1":
        image = image.convert("L")
    return _shallow(image, depth), ()


def _shallow(image: Image.Image, depth: int) -> _Samples:
    """8-bit samples of an image in mode L, LA, RGB or RGBA."""
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(f"its pixel layout {image.mode} is not supported")
    samples = np.asarray(image)
    if image.mode in ("LA", "RGBA"):
        colour, alpha = samples[..., :-1], samples[..., -1]
    else:
        colour, alpha = samples, _key_alpha(image, samples, 2 ** min(depth, 8) - 1)
    if image.mode in ("L", "LA"):
        colour = colour.reshape(*colour.shape[:2], 1)
    return _Samples(np.broadcast_to(colour, (*colour.shape[:2], 3)), alpha)


def _key_alpha(image: Image.Image, samples: np.ndarray, peak: int) -> np.ndarray | None:
    """Alpha of a PNG or GIF in which one colour, in 0..peak, is transparent."""
    key = image.info.get("transparency")
    if key is None or isinstance(key, bytes):
        return None
    top = 65535 if samples.dtype == np.uint16 else 255
    # PNG gives the colour of a 1-bit image as 0 or 255 in Pillow.
    key = np.asarray(key) if np.max(key) > peak else np.asarray(key) * top // peak
    same = samples == key
    same = same.all(axis=-1) if same.ndim == 3 else same
    return np.where(same, 0, top).astype(samples.dtype)


def _deep_grey(image: Image.Image, kind: str, depth: int) -> _Samples:
    grey = np.asarray(image).astype(np.uint16)
    peak = 2**depth - 1 if kind == "TIFF" and depth < 16 else 65535
    if kind == "TIFF" and image.tag_v2.get(262) == 0:
        # White is zero; Pillow inverts no more than 8 bits.
        grey = np.uint16(peak) - grey
    alpha = _key_alpha(image, grey, 65535)
    return _Samples(np.repeat(grey[..., None], 3, axis=-1), alpha, peak)


def _stretched_grey(image: Image.Image) -> tuple[_Samples, tuple[str, ...]]:
    """32-bit samples have no agreed range: the usual one or, beyond it, their own."""
    with np.errstate(invalid="ignore"):
        grey = np.asarray(image).astype(np.float64)
    if not np.all(np.isfinite(grey)):
        raise ValueError("it has samples that are no finite numbers")
    low, high = float(grey.min()), float(grey.max())
    usual = 1.0 if image.mode == "F" else 65535.0
    if low >= 0 and high <= usual:
        low, high = 0.0, usual
    levels = (grey - low) / ((high - low) or 1.0)
    levels = np.rint(255 * levels).astype(np.uint8)
    note = f"samples from {low:g} to {high:g} stretched to 0 to 255"
    return _Samples(np.repeat(levels[..., None], 3, axis=-1)), (note,)


def _converted(image: Image.Image) -> tuple[_Samples, tuple[str, ...]]:
    """CMYK and Lab to sRGB, by the embedded profile where there is one."""
    from PIL import ImageCms

    srgb = ImageCms.createProfile("sRGB")
    profile = image.info.pop("icc_profile", None)
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return _Samples(np.asarray(image)), ("Lab converted to sRGB",)
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, ImportError, OSError):
            image = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                srgb,
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            note = "CMYK converted to sRGB by its own profile"
            return _Samples(np.asarray(image)), (note,)
    note = "CMYK converted to RGB without a profile, colours are approximate"
    return _Samples(np.asarray(image.convert("RGB"))), (note,)


def _flatten(
    samples: _Samples, background: tuple[int, int, int]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Composites and rounds to 8 bits, exactly, some rows at a time.

    Returns: uint8 [H,W,3], writable and contiguous, and notes.
    """
    colour, alpha, peak = samples.colour, samples.alpha, samples.peak
    if alpha is not None and alpha.min() == peak:
        alpha = None
    if alpha is None and peak == 255:
        return np.array(colour, dtype=np.uint8, order="C"), ()
    pixels = np.empty(colour.shape, np.uint8)
    # A level is colour * factor / divisor; both cancel where samples are bytes.
    factor, divisor, kind = (1, 1, np.uint32) if peak == 255 else (255, peak, np.uint64)
    rows = max(1, _STRIP_SAMPLES // (3 * colour.shape[1]))
    for top in range(0, colour.shape[0], rows):
        strip = slice(top, top + rows)
        value, over = colour[strip].astype(kind) * kind(factor), divisor
        if alpha is not None:
            opacity = alpha[strip].astype(kind)[..., None]
            value *= opacity
            value += np.array(background, kind) * kind(divisor) * (kind(peak) - opacity)
            over = divisor * peak
        pixels[strip] = (value * kind(2) + kind(over)) // kind(2 * over)
    if alpha is None:
        return pixels, ()
    names = {(255, 255, 255): "white", (0, 0, 0): "black"}
    colour_name = names.get(tuple(background), f"RGB {tuple(background)}")
    return pixels, (f"transparency composited on {colour_name}",)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a[::-1].swapaxes(0, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a[:, ::-1].swapaxes(0, 1),
    }.get(orientation)
    return np.ascontiguousarray(turned(pixels)) if turned else pixels


def _exif(image: ImageFile.ImageFile, kind: str) -> tuple[bytes | None, int]:
    """The upright block, and the orientation that is still to be applied."""
    if kind == "TIFF":
        # Pillow turns TIFF on loading; its directory also describes the old layout.
        return _tiff_exif(image), 1
    block = image.info.get("exif")
    if block is None and "Raw profile type exif" in image.info:
        block = _hex_profile(image.info["Raw profile type exif"])
    block = image_headers.bare_exif(block) if isinstance(block, bytes) else None
    if block is None:
        return None, 1
    # HEIC and JPEG XL are turned by their decoders, unless a JPEG lies in the latter.
    turned = kind == "HEIF" or (kind == "JXL" and not getattr(image, "jpeg", False))
    orientation = 1 if turned else image_headers.exif_orientation(block)
    return image_headers.upright_exif(block), orientation


def _tiff_exif(image: ImageFile.ImageFile) -> bytes | None:
    """The descriptive tags of a TIFF, without those of its layout."""
    try:
        source, exif = image.getexif(), Image.Exif()
        for tag in image_encoders.EXIF_TEXT_TAGS:
            if tag in source:
                exif[tag] = source[tag]
        for ifd in _EXIF_IFDS:
            if content := source.get_ifd(ifd):
                exif.get_ifd(ifd).update(content)
                exif[ifd] = content
        return image_headers.bare_exif(exif.tobytes()) if len(exif) else None
    except Exception as error:
        # Pixels are whole by now; broken metadata must not make them unreadable.
        logging.debug("EXIF of a TIFF file left out: %s", error)
        return None


def _hex_profile(text: object) -> bytes | None:
    """EXIF as ImageMagick writes it into PNG text: name, length, hexadecimal digits."""
    try:
        return bytes.fromhex("".join(str(text).split()[2:]))
    except ValueError:
        return None


def _icc(image: ImageFile.ImageFile) -> tuple[bytes | None, tuple[str, ...]]:
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or len(profile) < 128:
        return None, ()
    if profile[16:20] == b"RGB ":
        return profile, ()
    space = profile[16:20].decode("ascii", "replace").strip()
    return None, (f"its {space} profile does not fit RGB and was left out",)
