"""Changes of size on uint8 arrays, outside any graph."""

import numpy as np
from PIL import Image


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales an image.

    Args:
        pixels: uint8 [H,W,3].
        height: rows wanted.
        width: columns wanted.
    Returns: uint8 [height,width,3], Lanczos filtered; `pixels` if that is their size.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    scaled = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(scaled)


def resize_short_side(pixels: np.ndarray, short_side: int) -> np.ndarray:
    """Scales an image down so that its short side has `short_side` pixels.

    Args:
        pixels: uint8 [H,W,3].
        short_side: pixels; 0, or more than the image has, leaves it as it is.
    Returns: uint8 [h,w,3], Lanczos filtered, aspect kept to the nearest pixel.
    """
    height, width = pixels.shape[:2]
    scale = short_side / min(height, width)
    if not 0 < scale < 1:
        return pixels
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return resize(pixels, *size)
