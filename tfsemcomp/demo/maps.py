"""ROI maps as the page's painter holds them: a few cells in a short text.

map float32 [H,W] --area means--> cells --"WIDTHxHEIGHT:" and base64--> text
text --check--> cells uint8 [h,w], 255 matters most --bilinear--> map float32 [H,W]
"""

from __future__ import annotations

import base64
import binascii
import re

import numpy as np
from PIL import Image

from tfsemcomp.semantics import roi

# Cells along the longer side. JPEG decides by blocks of 8 pixels; a brush is coarser.
LONGEST = 96
_TEXT = re.compile(r"([1-9][0-9]{0,2})x([1-9][0-9]{0,2}):([A-Za-z0-9+/]+={0,2})")
# Of the text of the largest grid: its digits, and four characters for three cells.
_MOST_CHARACTERS = 16 + 4 * (LONGEST * LONGEST + 2) // 3


def to_text(values: np.ndarray) -> str:
    """Writes a map as text.

    Args:
        values: float [H,W] in [0, 1].
    """
    height, width = values.shape
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    plane = Image.fromarray(values.astype(np.float32), mode="F")
    cells = np.asarray(plane.resize(size, Image.Resampling.BOX))
    levels = np.rint(255 * np.clip(cells, 0, 1)).astype(np.uint8)
    packed = base64.b64encode(levels.tobytes()).decode("ascii")
    return f"{size[0]}x{size[1]}:{packed}"


def from_text(text: str, pixels: np.ndarray) -> np.ndarray:
    """Reads what `to_text` or the painter wrote.

    Args:
        text: of at most `LONGEST` cells a side.
        pixels: uint8 [H,W,3], the picture that the map is of.
    Returns: float32 [H,W] in [0, 1].
    Raises: ValueError if it is no such text.
    """
    match = None
    if isinstance(text, str) and len(text) <= _MOST_CHARACTERS:
        match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError("`map` is no map of the painter; paint it again")
    columns, rows = int(match[1]), int(match[2])
    try:
        cells = base64.b64decode(match[3], validate=True)
    except binascii.Error as error:
        raise ValueError("`map` is damaged; paint it again") from error
    if max(columns, rows) > LONGEST or len(cells) != columns * rows:
        raise ValueError(
            f"`map` must have at most {LONGEST} cells a side, one byte each; received "
            f"{columns}x{rows} in {len(cells)} bytes"
        )
    levels = np.frombuffer(cells, np.uint8).reshape(rows, columns)
    return roi.to_size(levels.astype(np.float32) / 255, pixels)
