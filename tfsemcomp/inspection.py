"""What a file is, told from its bytes without decoding any pixel."""

from __future__ import annotations

import io
from typing import Any

from tfsemcomp import bitstream, errors, image_headers
from tfsemcomp.codecs import base, nested

# The codecs that write standard files, by the names of `image_headers.sniff`.
_CODEC_OF_FORMAT = {
    "JPEG": "jpeg",
    "WEBP": "webp",
    "JPEG2000": "jpeg2000",
    "AVIF": "avif",
    "HEIF": "heif",
    "JXL": "jxl",
    "BPG": "bpg",
}
_BPG_MAGIC = b"BPG\xfb"
_ORIENTATION_TAG = 0x0112
# Pillow turns the size of these by itself.
_TURNED_FORMATS = ("TIFF", "HEIF")


def format_of(data: bytes) -> str | None:
    """Tells the format of a file from its first bytes.

    Returns: "tfsemcomp" for the container, "BPG", a name of `image_headers.sniff`, or
        None for anything else.
    """
    if bitstream.is_container(data):
        return "tfsemcomp"
    if data[:4] == _BPG_MAGIC:
        return "BPG"
    return image_headers.sniff(data)


def codec_of(data: bytes) -> str | None:
    """Tells which codec decodes a file; None if none does by itself.

    Files of msroi_jpeg are JPEGs like others and are decoded by `jpeg`.

    Raises: BitstreamError if it is a container whose header is damaged;
        UnavailableError if its codec is not in this version.
    """
    kind = format_of(data)
    if kind != "tfsemcomp":
        return _CODEC_OF_FORMAT.get(kind or "")
    name = bitstream.read(
        data, limits=bitstream.NO_LIMITS, allow_torn=True
    ).header.codec
    base.check_known(name)
    return name


def describe(data: bytes, name: str, limits: bitstream.Limits) -> dict[str, Any]:
    """Describes a file; see `api.info`.

    Args:
        data: the whole file.
        name: what to call it in messages.
        limits: of the image's size.
    """
    kind = format_of(data)
    if kind == "tfsemcomp":
        return _describe_container(data, limits)
    if kind is None:
        raise errors.BitstreamError(
            f"`{name}` is neither a tfsemcomp stream nor an image in a known format"
        )
    width, height = _image_size(kind, data, name)
    limits.check_size(width, height, len(data))
    return {
        "format": kind,
        "codec": _CODEC_OF_FORMAT.get(kind),
        "model": None,
        "fingerprint": None,
        "width": width,
        "height": height,
        "layers": 1,
        "chunks": [{"type": "base", "layer": 0, "bytes": len(data)}],
        "layer_bytes": [len(data)],
        "bytes": len(data),
        "bpp": 8 * len(data) / (width * height),
    }


def _describe_container(data: bytes, limits: bitstream.Limits) -> dict[str, Any]:
    facts = bitstream.describe(data, limits=limits)
    chunks = bitstream.read(data, limits=limits).chunks
    bases = [chunk.payload for chunk in chunks if chunk.type == "base"]
    if bases:
        facts["base"] = nested.unpack(bases[0], bitstream.CODEC_NUMBERS, "base")[0]
    layer_bytes = [0] * facts["layers"]
    for chunk in facts["chunks"]:
        layer_bytes[chunk["layer"]] += chunk["bytes"]
    model = _model_of(facts["fingerprint"], facts["codec"])
    return {
        "format": "tfsemcomp",
        **facts,
        "model": model,
        "layer_bytes": layer_bytes,
    }


def _model_of(fingerprint: str, codec: str) -> str | None:
    """Name of the installed model with this fingerprint, if there is one."""
    from tfsemcomp.serving import manifest

    try:
        return manifest.with_fingerprint(bytes.fromhex(fingerprint), codec).name
    except errors.SemCompError:
        return None


def _image_size(kind: str, data: bytes, name: str) -> tuple[int, int]:
    """Width and height of the upright image."""
    if kind == "BPG":
        from tfsemcomp.codecs import bpg

        return bpg.bpg_size(data)
    try:
        image_headers.check_complete(kind, data)
        if kind == "JXL":
            return image_headers.jxl_size(data)
        return _pillow_size(kind, data)
    except errors.SemCompError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise errors.BitstreamError(
            f"`{name}` is truncated or damaged: {reason}"
        ) from error


def _pillow_size(kind: str, data: bytes) -> tuple[int, int]:
    from PIL import Image

    from tfsemcomp import pillow_state

    with pillow_state.quiet():
        Image.init()
        if kind == "HEIF":
            _register_heif()
        # `Image.open` would apply a limit of its own, global to the process.
        factory, _ = Image.OPEN[kind]
        with factory(io.BytesIO(data), "") as image:
            width, height = image.size
            orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    turned = kind not in _TURNED_FORMATS and orientation in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise errors.UnavailableError(
            "HEIF files need the package pillow_heif; install it with: "
            "pip install 'tfsemcomp[bench]'"
        ) from error
    pillow_heif.register_heif_opener()
