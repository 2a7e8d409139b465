"""RGB pixels to the bytes of image files, one function a format.

For `images.encode`, which checks the arguments and turns exceptions into the package's
own. Each takes an RGB image, a quality from 1 to 100 or None, and options of Pillow's
encoder that win over what the quality chose.
"""

import io
from collections.abc import Callable
from typing import Any

from PIL import Image, ImageFile

from tfsemcomp import errors

# Description, maker, model, software, date and time, artist, copyright.
EXIF_TEXT_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)


def _save(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _encode_jpeg(image: Image.Image, quality: int | None, options: dict) -> bytes:
    subsampling = {} if quality is not None and quality < 90 else {"subsampling": 0}
    quality = 95 if quality is None else quality
    options = {"quality": quality, "optimize": True} | subsampling | options
    if options.get("exif"):
        options["exif"] = b"Exif\x00\x00" + options["exif"].removeprefix(
            b"Exif\x00\x00"
        )
    two_passes = {key: options.pop(key, False) for key in ("optimize", "progressive")}
    data = _save(image, "JPEG", **options)
    # Both need the whole file in one buffer, whose size Pillow guesses: too small for
    # noise, which it then refuses to write.
    guess = (2 if options["quality"] >= 95 else 1) * image.width * image.height
    buffer_bytes = max(ImageFile.MAXBLOCK, guess)
    if any(two_passes.values()) and len(data) <= buffer_bytes:
        data = _save(image, "JPEG", **options, **two_passes)
    return data


def _encode_png(image: Image.Image, quality: int | None, options: dict) -> bytes:
    del quality
    return _save(image, "PNG", **options)


def _encode_tiff(image: Image.Image, quality: int | None, options: dict) -> bytes:
    del quality
    block = options.pop("exif", None)
    if block:
        options["exif"] = _text_tags(block)
    return _save(image, "TIFF", **{"compression": "tiff_adobe_deflate"} | options)


def _text_tags(block: bytes) -> Image.Exif:
    """The tags that a compressed TIFF takes: libtiff refuses nested directories."""
    source, kept = Image.Exif(), Image.Exif()
    source.load(block)
    for tag in EXIF_TEXT_TAGS:
        if isinstance(source.get(tag), str):
            kept[tag] = source[tag]
    return kept


def _encode_bmp(image: Image.Image, quality: int | None, options: dict) -> bytes:
    del quality
    return _save(image, "BMP", **options)


def _encode_webp(image: Image.Image, quality: int | None, options: dict) -> bytes:
    chosen = {"lossless": True} if quality is None else {"quality": quality}
    return _save(image, "WEBP", **chosen | options)


def _encode_avif(image: Image.Image, quality: int | None, options: dict) -> bytes:
    chosen: dict[str, Any] = {"quality": quality}
    if quality is None:
        chosen = {"quality": 100, "subsampling": "4:4:4"}
    return _save(image, "AVIF", **chosen | options)


def _encode_jxl(image: Image.Image, quality: int | None, options: dict) -> bytes:
    # The encoder takes quality 100 together with lossless coding only.
    lossless = quality is None or quality >= 100
    chosen = {"lossless": True} if lossless else {"quality": quality}
    return _save(image, "JXL", **chosen | options)


def _encode_heif(image: Image.Image, quality: int | None, options: dict) -> bytes:
    import pillow_heif

    if not pillow_heif.libheif_info()["HEIF"]:
        raise errors.UnavailableError(
            "the installed pillow_heif reads HEIC only; install one that writes it: "
            "pip install --force-reinstall pillow-heif"
        )
    chosen: dict[str, Any] = {"quality": quality}
    if quality is None:
        # Only these two together are lossless.
        chosen = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
    chosen |= options
    icc = chosen.pop("icc_profile", None)
    if icc:
        image = image.copy()
        image.info["icc_profile"] = icc
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **chosen)
    return buffer.getvalue()


def _encode_jpeg2000(image: Image.Image, quality: int | None, options: dict) -> bytes:
    chosen: dict[str, Any] = {"mct": 1}
    if quality is not None:
        chosen |= {
            "irreversible": True,
            "quality_mode": "dB",
            "quality_layers": [20 + 0.3 * quality],
        }
    return _save(image, "JPEG2000", **chosen | options)


ENCODERS: dict[str, Callable[[Image.Image, int | None, dict], bytes]] = {
    "JPEG": _encode_jpeg,
    "PNG": _encode_png,
    "WEBP": _encode_webp,
    "TIFF": _encode_tiff,
    "BMP": _encode_bmp,
    "AVIF": _encode_avif,
    "HEIF": _encode_heif,
    "JXL": _encode_jxl,
    "JPEG2000": _encode_jpeg2000,
}
