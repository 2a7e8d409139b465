"""Contact sheets: many records on one picture, for looking."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tfsemcomp import images
from tfsemcomp.data import records, survey

TILE = 128
_TEXT_HEIGHT = 14
_COLUMNS = 8
_LETTERS = 20
# Of the circle of hues, between numbers that follow each other: the golden ratio sets
# them far apart.
_HUE_STEP = 0.61803


def draw(groups: Sequence[tuple[str, Sequence[records.Record]]]) -> np.ndarray:
    """Draws records in rows, with their maps beside them and their class below.

    Args:
        groups: heading and records of each.

    Returns: uint8 [H,W,3].
    Raises:
        SemCompError: a picture or map that cannot be read.
    """
    rows = []
    for heading, group in groups:
        rows.append(_heading(heading))
        rows += _rows([_tile(record) for record in group])
    sheet = Image.new("RGB", (_COLUMNS * TILE, sum(r.height for r in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return np.asarray(sheet)


def _rows(tiles: Sequence[Image.Image]) -> list[Image.Image]:
    rows: list[Image.Image] = []
    left = _COLUMNS * TILE
    for tile in tiles:
        if left + tile.width > _COLUMNS * TILE:
            rows.append(Image.new("RGB", (_COLUMNS * TILE, tile.height), "white"))
            left = 0
        rows[-1].paste(tile, (left, 0))
        left += tile.width
    return rows


def _tile(record: records.Record) -> Image.Image:
    pixels = images.load_bytes(record.image, name=record.name).pixels
    shown = [Image.fromarray(pixels)]
    for field, plane in survey.read_maps(record).items():
        is_index = field in ("label_map", "instances")
        shown.append(Image.fromarray(_colours(plane) if is_index else plane))
    tile = Image.new("RGB", (TILE * len(shown), TILE + _TEXT_HEIGHT), "white")
    for number, picture in enumerate(shown):
        picture.thumbnail((TILE - 4, TILE - 4))
        tile.paste(picture, (number * TILE + 2, 2))
    text = record.class_text or " ".join(record.captions[:1]) or record.name
    ImageDraw.Draw(tile).text((2, TILE), _drawable(text), fill="black")
    return tile


def _heading(text: str) -> Image.Image:
    heading = Image.new("RGB", (_COLUMNS * TILE, _TEXT_HEIGHT + 4), "#dddddd")
    ImageDraw.Draw(heading).text((2, 2), _drawable(text), fill="black")
    return heading


def _drawable(text: str) -> str:
    """The beginning of a text, in letters that Pillow's own font has."""
    return text[:_LETTERS].encode("latin-1", "replace").decode("latin-1")


def _colours(plane: np.ndarray) -> np.ndarray:
    """A colour for each number; uint8 [H,W,3]."""
    hues = np.full((*plane.shape, 3), 210, np.uint8)
    hues[..., 0] = plane * _HUE_STEP % 1 * 255
    return np.asarray(Image.fromarray(hues, "HSV").convert("RGB"))
