"""Label maps: uint8 [H,W] class indexes, 255 = no class, as 8-bit PNG files."""

import io
import os
import pathlib

import numpy as np
from PIL import Image, PngImagePlugin

from tfsemcomp import images
from tfsemcomp.errors import BitstreamError, SemCompError

_SIGNATURE = b"\x89PNG"


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a label map.

    Returns:
        uint8 [H,W].

    Raises:
        SemCompError: the file cannot be read.
        BitstreamError: as `decode`.
    """
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise SemCompError(f"cannot read the label map {path}: {error}.") from error
    return decode(data, str(path))


def decode(data: bytes, name: str = "label map") -> np.ndarray:
    """Decodes a label map; `name` is for messages only.

    Grey values are the classes; of a PNG with a palette the indexes are, never its
    colours.

    Returns:
        uint8 [H,W].

    Raises:
        BitstreamError: no whole PNG, or neither grey nor indexed with 8 bits.
    """
    if not data.startswith(_SIGNATURE):
        raise BitstreamError(f"{name}: a label map must be a PNG file.")
    try:
        picture = PngImagePlugin.PngImageFile(io.BytesIO(data))
        if picture.mode not in ("L", "P"):
            raise BitstreamError(
                f"{name}: a label map must be grey or indexed with 8 bits, not "
                f"{picture.mode}."
            )
        return np.array(picture)
    except (OSError, SyntaxError, ValueError) as error:
        raise BitstreamError(f"{name}: no whole PNG: {error}.") from error


def encode(labels: np.ndarray) -> bytes:
    """Makes the PNG of a label map, uint8 [H,W]."""
    content = io.BytesIO()
    Image.fromarray(labels).save(content, "PNG", optimize=True)
    return content.getvalue()


def write(path: str | os.PathLike[str], labels: np.ndarray) -> None:
    """Writes a label map, uint8 [H,W], all of it or nothing.

    Raises:
        SemCompError: the file cannot be written.
    """
    images.write_atomic(path, encode(labels))
