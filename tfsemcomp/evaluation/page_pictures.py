"""A result folder's pictures and layers as data URIs, for a page that loads nothing."""

import base64
import colorsys
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import logging

from tfsemcomp import images
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import layout
from tfsemcomp.evaluation.table import Row

# What browsers show as it is; anything else is decoded and shown without loss.
_BROWSER_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
# Lossless WebP is a third smaller than PNG, and this effort as quick.
_WEBP_EFFORT = 1
_WEBP_SIDE = 16383
# Dark violet over red to light yellow: rises in lightness, so it reads in grey, too.
_HEAT_STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)
_HEAT_COLOURS = (
    (10, 5, 40),
    (95, 20, 115),
    (200, 55, 85),
    (250, 140, 30),
    (255, 250, 170),
)
# Turns of the colour circle from one label to the next: no two of them come near.
_GOLDEN_TURN = 0.618033988749895


def picture(folder: pathlib.Path, image: str) -> dict[str, Any] | None:
    """An original with its layers.

    Args:
        folder: the result folder.
        image: the picture's name in the table.

    Returns:
        `width`, `height`, `original` (a data URI) and `layers` (see `row_layers`); None
        where the original was not kept.

    Raises:
        SemCompError: a file that is no picture.
    """
    path = layout.original(folder, image)
    if not path.is_file():
        return None
    pixels = images.read(path)
    return {
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "original": _lossless(pixels),
        "layers": _layers(layout.picture_layers(folder, image)),
    }


def row_picture(folder: pathlib.Path, row: Row) -> str | None:
    """A row's file for an <img>: as it is where browsers can, else decoded.

    Args:
        folder: the result folder.
        row: of its table.

    Returns:
        A data URI; None where the row has no file, or one that does not decode here.
    """
    if row.error or not row.file:
        return None
    path = (folder / row.file).resolve()
    # The table may come from elsewhere: it must not pull other files into the page.
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    data = path.read_bytes()
    kind = _BROWSER_TYPES.get(path.suffix.lower())
    if kind is not None:
        return _inline(data, kind)
    import tfsemcomp

    try:
        return _lossless(tfsemcomp.decompress(data))
    except SemCompError as error:  # a plug-in or model that is not on this machine
        logging.warning("%s is not shown: %s", row.file, error)
        return None


def row_layers(folder: pathlib.Path, row: Row) -> list[dict[str, str]]:
    """The layers of a row's file.

    Args:
        folder: the result folder.
        row: of its table.

    Returns:
        `name`, `label` and either `picture`, a data URI, or `text`, one dict a layer.

    Raises:
        SemCompError: a file that is no picture, or no UTF-8 text.
    """
    return _layers(layout.row_layers(folder, row))


def _layers(paths: dict[str, pathlib.Path]) -> list[dict[str, str]]:
    found = []
    for name, path in paths.items():
        facts = {"name": name, "label": _label(name)}
        if path.suffix == ".txt":
            facts["text"] = _read_text(path)
        else:
            facts["picture"] = _lossless(_coloured(name, images.read(path)))
        found.append(facts)
    return found


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _read_text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SemCompError(f"cannot read {path}: {error}.") from error


def _coloured(name: str, pixels: np.ndarray) -> np.ndarray:
    """Grey maps as heat, grey label maps in a colour a label; others as they are."""
    table = _TABLES.get(name)
    grey = pixels[..., 0]
    if table is None or (pixels != grey[..., None]).any():
        return pixels
    return table()[grey]


def _heat() -> np.ndarray:
    """Colours of an 8-bit map: uint8 [256,3]."""
    levels = np.arange(256) / 255.0
    channels = [
        np.interp(levels, _HEAT_STOPS, channel)
        for channel in zip(*_HEAT_COLOURS, strict=True)
    ]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _label_colours() -> np.ndarray:
    """A colour for each label: uint8 [256,3]."""
    colours = [
        colorsys.hls_to_rgb(label * _GOLDEN_TURN % 1.0, (0.5, 0.65, 0.35)[label % 3], 1)
        for label in range(256)
    ]
    return np.rint(255 * np.array(colours)).astype(np.uint8)


_TABLES: dict[str, Callable[[], np.ndarray]] = {"map": _heat, "labels": _label_colours}


def _lossless(pixels: np.ndarray) -> str:
    if max(pixels.shape) > _WEBP_SIDE:
        return _inline(images.encode(pixels, "png"), "image/png")
    return _inline(images.encode(pixels, "webp", method=_WEBP_EFFORT), "image/webp")


def _inline(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
