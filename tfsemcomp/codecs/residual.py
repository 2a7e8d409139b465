"""A correction of a decoded picture, by any codec that writes standard files.

    x - x_hat --halve, + 128, clip--> uint8 --codec--> codec number 1 | file
    codec number 1 | file --> uint8 --> 2 (r - 128) --> + x_hat, clip

Halving keeps differences of up to 254 grey levels in 8 bits; what it rounds off is far
below what a codec of low quality loses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfsemcomp import bitstream
from tfsemcomp.codecs import base, nested

if TYPE_CHECKING:
    import numpy as np

# Standard files that hold any colours: what a residual can be written as.
CODECS = ("jpeg", "webp", "jpeg2000", "avif", "heif", "jxl", "bpg")
_MIDDLE = 128


def encode(image: np.ndarray, picture: np.ndarray, codec: str, quality: float) -> bytes:
    """Makes the payload of a `residual` chunk.

    Args:
        image: uint8 [H,W,3], what should come out.
        picture: uint8 [H,W,3], what comes out without a correction.
        codec: one of `CODECS`.
        quality: of that codec.
    Raises: ValueError, UnavailableError, LimitError as `Codec.compress`.
    """
    import numpy as np

    difference = image.astype(np.int16) - picture
    halved = np.clip(np.rint(difference / 2) + _MIDDLE, 0, 255).astype(np.uint8)
    # The size was checked with the image's.
    limits = bitstream.NO_LIMITS
    data = base.get_codec(codec).compress(halved, quality=quality, limits=limits)
    return nested.pack(codec, data)


def apply(payload: bytes, picture: np.ndarray) -> np.ndarray:
    """Corrects a picture.

    Args:
        payload: of a `residual` chunk.
        picture: uint8 [H,W,3], decoded without it.
    Returns: uint8 [H,W,3].
    Raises:
        BitstreamError: if the payload is damaged or of another size.
        UnavailableError: if its codec cannot run here.
    """
    import numpy as np

    height, width = picture.shape[:2]
    halved = nested.decode(payload, CODECS, "residual", height, width)
    difference = 2 * (halved.astype(np.int16) - _MIDDLE)
    return np.clip(picture + difference, 0, 255).astype(np.uint8)
