"""Tiny photos for tests of the page, as files and as what the page makes of them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.harness import smooth_image
from tfsemcomp import images
from tfsemcomp.demo import studio
from tfsemcomp.demo.bounds import Bounds

BOUNDS = Bounds()


def png(height: int = 64, width: int = 96, seed: int = 0) -> bytes:
    """A PNG file of `smooth_image`."""
    return images.encode(smooth_image(height, width, seed), "PNG")


def photo(height: int = 64, width: int = 96, seed: int = 0) -> studio.Photo:
    """The same, opened."""
    return studio.open_photo(png(height, width, seed), "a photo.png", BOUNDS)


def bomb(height: int = 30000, width: int = 30000) -> bytes:
    """A PNG of some hundred bytes that declares a huge picture."""
    file = bytearray(png(8, 8))
    header = b"IHDR" + struct.pack(">II", width, height) + bytes(file[24:29])
    file[12:29] = header
    file[29:33] = struct.pack(">I", zlib.crc32(header))
    return bytes(file)


def pixels_of(data: bytes) -> np.ndarray:
    """uint8 [H,W,3] of an image file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
