"""Image files <-> uint8 RGB arrays, with every loss on the way said.

Reading takes JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, JPEG XL and JPEG 2000, told
apart by their content and never by their name, and nothing else. The pixels are those
of the file: turned upright as EXIF says, transparency composited, deeper samples
rounded to 8 bits, CMYK converted, the first frame of several; `LoadedImage.notes` tells
which.
Sizes are checked before pixels are decoded. Files are written atomically.

Pillow does the decoding. Its plug-ins are used directly, each for the one format that
the content names: `Image.open` would apply a limit of its own, which is global to the
process, and try other plug-ins.
"""

import contextlib
import dataclasses
import importlib
import os
import pathlib
import secrets
import stat
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging
from PIL import Image, features

from tfsemcomp import (
    bitstream,
    deadline,
    errors,
    image_encoders,
    image_headers,
    image_pixels,
    pillow_state,
)

# What files of each format may be called; the first suffix is the usual one.
_SUFFIXES: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
    "JXL": (".jxl",),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf"),
}
_FORMAT_OF_SUFFIX = {
    suffix: name for name, suffixes in _SUFFIXES.items() for suffix in suffixes
}
KNOWN_SUFFIXES: tuple[str, ...] = tuple(_FORMAT_OF_SUFFIX)
# GIF holds 256 colours at most, so it is read only.
WRITABLE_SUFFIXES: tuple[str, ...] = tuple(
    suffix for suffix, name in _FORMAT_OF_SUFFIX.items() if name != "GIF"
)
# Code streams without the boxes of JP2.
_BARE_JPEG2000 = (".j2k", ".j2c", ".jpc")

_READERS = {
    # The plain JPEG class: a multi-picture file is its main picture, without a note.
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("pillow_heif", "HeifImageFile"),
    "JXL": ("pillow_jxl.JpegXLImagePlugin", "JXLImageFile"),
    "JPEG2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
}
_PILLOW_FEATURES = {
    "JPEG": "jpg",
    "PNG": "zlib",
    "WEBP": "webp",
    "AVIF": "avif",
    "JPEG2000": "jpg_2000",
}
_INSTALL_BENCH = "pip install 'tfsemcomp[bench]'"
_INSTALL_PILLOW = "pip install --force-reinstall 'pillow>=11.3'"

_HEAD_BYTES = 512
# No image within the default limits is larger in any of the formats.
_MAX_FILE_BYTES = 2**31


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image file's content.

    Attributes:
        pixels: uint8 [H,W,3], RGB, upright.
        format: "JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JXL" or
            "JPEG2000".
        exif: the EXIF block with orientation 1 (the rotation is applied to the pixels),
            without the prefix that JPEG puts before it; None if there is none.
        icc: the profile of the pixels; None if there is none that fits RGB.
        notes: what was done to the pixels that the user should know.
    """

    pixels: np.ndarray
    format: str
    exif: bytes | None
    icc: bytes | None
    notes: tuple[str, ...]


def load(
    path: str | os.PathLike[str],
    *,
    limits: bitstream.Limits = bitstream.DEFAULT_LIMITS,
    background: tuple[int, int, int] = (255, 255, 255),
) -> LoadedImage:
    """Reads an image file.

    Args:
        path: of the file; its suffix does not matter.
        limits: size that the image may have, checked before its pixels are decoded,
            and time that this may take.
        background: RGB, 0 to 255, shown through transparent pixels.

    Returns: pixels, metadata and notes.
    Raises:
        SemCompError: if the file is missing, a directory or unreadable.
        BitstreamError: if it is no image in a known format, or truncated or damaged.
        LimitError: if it is too large.
        UnavailableError: if its format needs a package that is not installed.
        ValueError: for a wrong argument.
    """
    name = os.fspath(path)
    return load_bytes(_read_file(name), name=name, limits=limits, background=background)


def load_bytes(
    data: bytes,
    *,
    name: str = "image",
    limits: bitstream.Limits = bitstream.DEFAULT_LIMITS,
    background: tuple[int, int, int] = (255, 255, 255),
) -> LoadedImage:
    """Reads an image from the bytes of its file; `name` is for messages only.

    Returns, raises: as `load`.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ValueError(f"`data` must be bytes, received {type(data).__name__}")
    _check_background(background)
    data = bytes(data)
    kind = _check_kind(data, name)
    opener = _opener(kind)
    with _typed_errors(name), pillow_state.quiet(), deadline.within(limits.seconds):
        image_headers.check_complete(kind, data)
        pixels, exif, icc, notes = image_pixels.decode(
            kind, data, opener, limits, background
        )
    return LoadedImage(pixels, kind, exif, icc, notes)


def read(
    path: str | os.PathLike[str],
    *,
    limits: bitstream.Limits = bitstream.DEFAULT_LIMITS,
    background: tuple[int, int, int] = (255, 255, 255),
) -> np.ndarray:
    """Reads the pixels of an image file; the notes of `load` go to the log.

    Returns: uint8 [H,W,3].
    Raises: as `load`.
    """
    image = load(path, limits=limits, background=background)
    for note in image.notes:
        logging.info("%s: %s", path, note)
    return image.pixels


def encode(
    pixels: np.ndarray,
    format: str,  # noqa: A002
    *,
    quality: int | None = None,
    exif: bytes | None = None,
    icc: bytes | None = None,
    **options: Any,
) -> bytes:
    """Makes an image file in memory.

    Args:
        pixels: uint8 [H,W,3].
        format: as in `LoadedImage.format`, in any case, but not "GIF".
        quality: 1 to 100. PNG, TIFF and BMP are lossless and ignore it. JPEG 2000
            aims at a PSNR of 20 + 0.3 times it, in dB; JPEG XL is lossless at 100.
            None stands for lossless in WebP, JPEG 2000, JPEG XL and HEIC, for 95 in
            JPEG and for 100 in AVIF, both without chroma subsampling.
        exif: a block as `load` returns it, stored as it is, so its orientation should
            be 1; TIFF keeps its text tags only, BMP and JPEG 2000 nothing.
        icc: a profile; not stored by BMP, JPEG XL and JPEG 2000.
        **options: go to the encoder and win over what `quality` chose; their names are
            those of Pillow and its plug-ins.

    Returns: the bytes of the file.
    Raises:
        SemCompError: if the encoder refuses, mostly since the format holds no image of
            this size.
        UnavailableError: if the format needs a package that is not installed.
        ValueError: for a wrong argument.
    """
    check_pixels(pixels)
    kind = format.upper()
    if kind not in image_encoders.ENCODERS:
        raise ValueError(
            f"`format` must be one of {sorted(image_encoders.ENCODERS)}, "
            f"received {format!r}"
        )
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"`quality` must be from 1 to 100, received {quality!r}")
    _opener(kind)
    metadata = {"exif": exif, "icc_profile": icc}
    options = {key: value for key, value in metadata.items() if value} | options
    image = Image.fromarray(np.ascontiguousarray(pixels))
    try:
        with pillow_state.quiet():
            return image_encoders.ENCODERS[kind](image, quality, options)
    except errors.SemCompError:
        raise
    except MemoryError:
        raise errors.LimitError(
            f"not enough memory to encode {image.width}x{image.height} pixels as {kind}"
        ) from None
    except Exception as error:
        raise errors.SemCompError(
            f"cannot encode {image.width}x{image.height} pixels as {kind}: "
            f"{_reason(error)}"
        ) from error


def write(
    path: str | os.PathLike[str],
    pixels: np.ndarray,
    *,
    quality: int | None = None,
    exif: bytes | None = None,
    icc: bytes | None = None,
) -> None:
    """Writes an image file in the format of its suffix, all of it or nothing.

    Args:
        path: with a suffix of `WRITABLE_SUFFIXES`.
        pixels, quality, exif, icc: as of `encode`.

    Raises: as `encode` and `write_atomic`.
    """
    kind = format_of(path)
    bare = pathlib.PurePath(path).suffix.lower() in _BARE_JPEG2000
    options = {"no_jp2": True} if bare else {}
    data = encode(pixels, kind, quality=quality, exif=exif, icc=icc, **options)
    write_atomic(path, data)


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Puts `data` into a file so that others see the old content or all of the new.

    The bytes go to a temporary file in the same folder, which takes the file's place
    once it is on the disk. The file keeps its permission bits, a new one gets those of
    the umask. A symbolic link stays and its target is replaced. What is no regular file
    (a pipe, a device) is written directly.

    Raises: SemCompError if that fails; the temporary file is gone then, as it is when
        the program is interrupted.
    """
    target = os.path.realpath(os.fspath(path))
    name = os.fspath(path)
    try:
        mode = _mode_to_keep(target)
        if mode is not None and not stat.S_ISREG(mode):
            with open(target, "wb") as file:
                file.write(data)
            return
        _replace(target, data, mode)
    except OSError as error:
        raise errors.SemCompError(
            f"cannot write {_quoted(name)}: {error.strerror or error}"
        ) from error


def format_of(path: str | os.PathLike[str]) -> str:
    """The format to write, by the suffix of `path`.

    Raises: ValueError if there is none or it cannot be written.
    """
    suffix = pathlib.PurePath(path).suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise ValueError(
            f"`path` must end in one of {', '.join(WRITABLE_SUFFIXES)} to be written "
            f"as an image, received {os.fspath(path)!r}"
        )
    return _FORMAT_OF_SUFFIX[suffix]


def list_images(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The files in a folder, not below it, that have a suffix of an image.

    Returns, raises: as `list_files`.
    """
    return list_files(folder, KNOWN_SUFFIXES)


def list_files(
    folder: str | os.PathLike[str], suffixes: Sequence[str]
) -> list[pathlib.Path]:
    """The files in a folder, not below it, that have one of the suffixes.

    Args:
        folder: where.
        suffixes: that count, with the dot, in lower case.

    Returns: sorted paths; hidden files are left out.
    Raises: SemCompError if `folder` cannot be listed.
    """
    try:
        paths = sorted(pathlib.Path(folder).iterdir())
    except OSError as error:
        raise errors.SemCompError(
            f"cannot list {_quoted(os.fspath(folder))}: {error.strerror or error}"
        ) from error
    return [
        path
        for path in paths
        if path.suffix.lower() in suffixes
        and not path.name.startswith(".")
        and path.is_file()
    ]


def check_pixels(pixels: np.ndarray) -> None:
    """Raises ValueError unless `pixels` is uint8 [H,W,3] with H and W at least 1."""
    if not isinstance(pixels, np.ndarray):
        raise ValueError(
            f"`pixels` must be a uint8 array [H,W,3], received {type(pixels).__name__}"
        )
    shape = pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(
            "`pixels` must be uint8 [H,W,3] with H and W at least 1, received "
            f"{pixels.dtype} {list(shape)}"
        )


def _quoted(name: str) -> str:
    return "`" + str(name).replace("\n", "\\n") + "`"


def _reason(error: BaseException) -> str:
    """The message of another library's exception, as part of one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def _check_background(background: tuple[int, int, int]) -> None:
    values = np.asarray(background)
    if (
        values.shape != (3,)
        or values.dtype.kind not in "iu"
        or not np.all((values >= 0) & (values <= 255))
    ):
        raise ValueError(
            f"`background` must be three integers from 0 to 255, received {background}"
        )


def _read_file(name: str) -> bytes:
    """The bytes of a file; one that is no image is not read to its end."""
    try:
        with open(name, "rb") as file:
            head = file.read(_HEAD_BYTES)
            _check_kind(head, name)
            data = head + file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise errors.SemCompError(
            f"cannot read {_quoted(name)}: {error.strerror or error}"
        ) from error
    except MemoryError:
        raise errors.LimitError(f"not enough memory to read {_quoted(name)}") from None
    if len(data) > _MAX_FILE_BYTES:
        raise errors.LimitError(
            f"{_quoted(name)} is larger than {_MAX_FILE_BYTES} bytes, the most that an "
            "image file may have"
        )
    return data


def _check_kind(data: bytes, name: str) -> str:
    kind = image_headers.sniff(data)
    if kind is not None:
        return kind
    if not data:
        raise errors.BitstreamError(f"{_quoted(name)} is empty")
    if bitstream.is_container(data):
        raise errors.BitstreamError(
            f"{_quoted(name)} is a tfsemcomp stream and no image file; decompress it "
            "first"
        )
    raise errors.BitstreamError(
        f"{_quoted(name)} is no image in a format that can be read "
        f"({', '.join(_SUFFIXES)})"
    )


def _opener(kind: str) -> image_pixels.Opener:
    """The class that reads one format; UnavailableError if it is not installed."""
    module, name = _READERS[kind]
    feature = _PILLOW_FEATURES.get(kind)
    if feature is not None and not features.check(feature):
        raise errors.UnavailableError(
            f"the installed Pillow has no {kind}; reinstall it: {_INSTALL_PILLOW}"
        )
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise errors.UnavailableError(
            f"{kind} files need the package {module.partition('.')[0]}; install it "
            f"with: {_INSTALL_BENCH}"
        ) from error


@contextlib.contextmanager
def _typed_errors(name: str) -> Iterator[None]:
    """Turns whatever an image library raises into one line about the file."""
    try:
        yield
    except errors.SemCompError as error:
        raise type(error)(f"{_quoted(name)}: {error}") from error
    except image_headers.ScansError as error:
        raise errors.LimitError(f"{_quoted(name)}: {error}") from error
    except MemoryError:
        raise errors.LimitError(
            f"{_quoted(name)}: not enough memory to decode it"
        ) from None
    except Exception as error:
        raise errors.BitstreamError(
            f"{_quoted(name)} is truncated, damaged or of an unsupported kind: "
            f"{_reason(error)}"
        ) from error


def _mode_to_keep(target: str) -> int | None:
    """Type and permission bits of what is to be replaced; None if there is nothing."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(None, "Is a directory")
    if not os.access(target, os.W_OK):
        # Renaming over it would work, which is not what its owner asked for.
        raise PermissionError(None, "Permission denied")
    return mode


def _replace(target: str, data: bytes, mode: int | None) -> None:
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".tfsemcomp-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        # 0o666 less the umask, by the system: Python cannot read that safely.
        with open(os.open(temporary, flags, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Puts the new name on the disk at once, where folders can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
