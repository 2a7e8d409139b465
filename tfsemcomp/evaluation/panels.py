"""Pictures beside and below each other, with captions: what figures are made of."""

import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Panel = tuple[str, np.ndarray]
CAPTION_HEIGHT = 22
_GAP = 4
_FONT_SIZE = 13


def spread(paths: Sequence[pathlib.Path], count: int) -> list[pathlib.Path]:
    """So many of the paths, evenly spread, so that nobody picks the best."""
    places = np.linspace(0, len(paths) - 1, min(count, len(paths)))
    return [paths[round(place)] for place in places]


def draw_lines(lines: np.ndarray) -> np.ndarray:
    """Lines uint8 [H,W] of 0 and 1 as a picture, black on white: uint8 [H,W,3]."""
    return np.repeat(np.uint8(255) - 255 * lines[..., None], 3, axis=-1)


def draw_grid(rows: Sequence[Sequence[Panel]], side: int) -> np.ndarray:
    """Puts panels into rows, each with its caption below.

    Args:
        rows: of captions and pictures uint8 [h,w,3]; may differ in length.
        side: of a panel in pixels. Larger pictures are reduced to fit, smaller ones
            enlarged without smoothing; what they leave free stays white.
    Returns: uint8 [H,W,3].
    Raises: ValueError if there is no panel.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("`rows` must hold at least one panel, received none")
    pitch = side + CAPTION_HEIGHT
    size = columns * (side + _GAP) - _GAP, len(rows) * pitch
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(_FONT_SIZE)
    for i, row in enumerate(rows):
        for j, (caption, pixels) in enumerate(row):
            x, y = j * (side + _GAP), i * pitch
            page.paste(_fit(pixels, side), (x, y))
            draw.text((x + 2, y + side + 3), caption, fill="black", font=font)
    return np.asarray(page)


def _fit(pixels: np.ndarray, side: int) -> Image.Image:
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    resample = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.NEAREST
    return Image.fromarray(pixels).resize(size, resample)
