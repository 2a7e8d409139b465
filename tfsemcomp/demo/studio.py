"""What the page does with a photo: functions from a state to the next one.

Nothing here knows a web page; every state is frozen and every function may run in any
thread. Errors are those of the library, one line each.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from tfsemcomp import api, bitstream, images, metrics
from tfsemcomp.codecs import base
from tfsemcomp.demo import catalogue, maps
from tfsemcomp.demo.bounds import Bounds
from tfsemcomp.semantics import roi

METRICS = ("psnr", "ssim", "ms_ssim")
# How a person says how large the file may be -> the keyword of `Codec.encode`.
RATES = {"quality": "quality", "bytes": "target_bytes", "bpp": "target_bpp"}
MAPPED_CODEC = "msroi_jpeg"
CAPTIONED_CODEC = "layered"
TEXTURED_CODEC = "conceptual"
_LONGEST_NAME = 60


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo that was opened.

    Attributes:
        name: of its file, without folder and suffix.
        pixels: uint8 [H,W,3].
        file_bytes: of the file.
        notes: what was done to it, a sentence each.
    """

    name: str
    pixels: np.ndarray
    file_bytes: int
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a person asks for.

    Attributes:
        codec: name.
        model: name of one of its models; None for the default.
        rate: a key of `RATES`.
        amount: the quality, the bytes or the bpp.
        map: of msroi_jpeg: a method of `roi.METHODS`, or text of `maps`; None for the
            model's own.
        caption: of layered; None for what its model says.
    """

    codec: str
    model: str | None = None
    rate: str = "quality"
    amount: float | None = None
    map: str | None = None
    caption: str | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """A compressed file, and what its first layers show.

    Attributes:
        wish: that it answers.
        whole: the file with all its layers.
        data: the file up to the layer that is shown; the same if all are.
        layers: of the whole file.
        shown: how many of them are in `data`.
        facts: of `data`, as `api.info` tells them.
        pixels: uint8 [H,W,3], what `data` decodes to.
        scores: metric -> its value against the photo.
        quality: that was picked; None if there is none.
        suffix: of the file, with the dot.
        caption: the text in the file; None if it has none.
    """

    wish: Wish
    whole: bytes
    data: bytes
    layers: int
    shown: int
    facts: Mapping[str, Any]
    pixels: np.ndarray
    scores: Mapping[str, float]
    quality: float | None
    suffix: str
    caption: str | None = None


def open_photo(data: bytes, name: str, bounds: Bounds) -> Photo:
    """Opens an image file.

    Args:
        data: the whole file.
        name: of the file; only for people.
        bounds: of the page.
    Raises:
        LimitError: if it is too large.
        BitstreamError: if it is no image, or damaged.
        UnavailableError: if its format needs a package that is not here.
    """
    loaded = images.load_bytes(data, name=_plain(name, "photo"), limits=bounds.limits)
    pixels, notes = loaded.pixels, list(loaded.notes)
    height, width = pixels.shape[:2]
    if height * width > bounds.work_pixels:
        pixels = _shrink(pixels, bounds.work_pixels)
        notes.append(
            f"scaled from {width}x{height} to {pixels.shape[1]}x{pixels.shape[0]} to "
            "keep this page quick; the command takes any size"
        )
    stem = _plain(pathlib.PurePath(name.replace("\\", "/")).stem, "photo")
    return Photo(stem, pixels, len(data), tuple(notes))


def compress(photo: Photo, wish: Wish, bounds: Bounds) -> Result:
    """Compresses a photo and decodes all of its file.

    Raises: ValueError for a wrong wish; SemCompError as `Codec.encode`.
    """
    codec = catalogue.make(wish.codec, wish.model)
    encoded = codec.encode(
        photo.pixels, limits=bounds.limits, **_keywords(codec, photo, wish)
    )
    return _result(photo, wish, codec, encoded.data, encoded.quality, bounds)


def show(photo: Photo, result: Result, layers: int, bounds: Bounds) -> Result:
    """The same with its first layers only.

    Args:
        photo: that it was made of.
        result: of this photo.
        layers: how many, 1 to `result.layers`.
        bounds: of the page.
    Raises: ValueError if there are not so many; SemCompError as `Codec.decompress`.
    """
    layers = base.Setting("layers", int, "", low=1, high=result.layers).check(layers)
    if layers == result.shown:
        return result
    data = result.whole
    if layers < result.layers:
        data = bitstream.truncate(data, layers, limits=bounds.limits)
    codec = catalogue.make(result.wish.codec, result.wish.model)
    return _shown(photo, dataclasses.replace(result, shown=layers), codec, data, bounds)


def swap_texture(photo: Photo, result: Result, other: Photo, bounds: Bounds) -> Result:
    """The lines of a file of conceptual with the texture of another photo.

    Args:
        photo: that the file was made of.
        result: the file.
        other: whose texture to take.
        bounds: of the page.
    Raises: ValueError if it is of another codec; SemCompError as `compress`.
    """
    if result.wish.codec != TEXTURED_CODEC:
        raise ValueError(
            f"textures can be swapped in files of {TEXTURED_CODEC}, not in those of "
            f"{result.wish.codec}"
        )
    codec = catalogue.make(result.wish.codec, result.wish.model)
    texture = codec.compress(other.pixels, limits=bounds.limits)
    data = codec.swap_texture(result.whole, texture, limits=bounds.limits)
    return _result(photo, result.wish, codec, data, result.quality, bounds)


def draw_map(photo: Photo, method: str) -> str:
    """A map of a photo as text of `maps`.

    Args:
        photo: see there.
        method: a name in `roi.METHODS`.
    Raises: ValueError for another one; SemCompError if its model is missing.
    """
    return maps.to_text(roi.roi_map(photo.pixels, method))


def preview(photo: Photo, side: int) -> bytes:
    """A small JPEG of a photo, its longer side at most `side` pixels."""
    height, width = photo.pixels.shape[:2]
    share = min(1.0, side / max(height, width))
    return images.encode(
        _shrink(photo.pixels, share**2 * height * width), "JPEG", quality=85
    )


def _keywords(codec: base.Codec, photo: Photo, wish: Wish) -> dict[str, Any]:
    """What `Codec.encode` is asked."""
    if wish.rate not in RATES:
        raise ValueError(
            f"`rate` must be one of {', '.join(RATES)}, received {wish.rate!r}"
        )
    amount = wish.amount
    if amount is None and wish.rate != "quality":
        raise ValueError(f"say how many {wish.rate} the file may have")
    # Fields of a page give 75.0 for 75.
    if isinstance(amount, float) and amount.is_integer() and wish.rate != "bpp":
        amount = int(amount)
    keywords: dict[str, Any] = {RATES[wish.rate]: amount}
    if wish.map is not None and codec.name == MAPPED_CODEC:
        keywords["map"] = _read_map(wish.map, photo.pixels)
    if wish.caption is not None and codec.name == CAPTIONED_CODEC:
        keywords["caption"] = wish.caption
    return keywords


def _read_map(text: str, pixels: np.ndarray) -> np.ndarray:
    """A map by its method or as it was painted; never a file."""
    if text in roi.METHODS:
        return roi.roi_map(pixels, text)
    return maps.from_text(text, pixels)


def _result(
    photo: Photo,
    wish: Wish,
    codec: base.Codec,
    data: bytes,
    quality: float | None,
    bounds: Bounds,
) -> Result:
    """A new file, all of it shown."""
    layers = api.info(data, limits=bounds.limits)["layers"]
    caption = None
    if codec.name == CAPTIONED_CODEC:
        caption = codec.caption(data, limits=bounds.limits)
    empty = Result(
        wish=wish,
        whole=data,
        data=data,
        layers=layers,
        shown=layers,
        facts={},
        pixels=photo.pixels,
        scores={},
        quality=quality,
        suffix=codec.suffix,
        caption=caption,
    )
    return _shown(photo, empty, codec, data, bounds)


def _shown(
    photo: Photo, result: Result, codec: base.Codec, data: bytes, bounds: Bounds
) -> Result:
    """Decodes and measures what is shown of a file."""
    pixels = codec.decompress(data, limits=bounds.limits)
    return dataclasses.replace(
        result,
        data=data,
        facts=api.info(data, limits=bounds.limits),
        pixels=pixels,
        scores=metrics.measure(photo.pixels, pixels, METRICS),
    )


def _shrink(pixels: np.ndarray, most: float) -> np.ndarray:
    """Scales a picture down to at most about `most` pixels."""
    height, width = pixels.shape[:2]
    factor = (most / (height * width)) ** 0.5
    if factor >= 1:
        return pixels
    size = max(1, int(width * factor)), max(1, int(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _plain(name: str, otherwise: str) -> str:
    """A name that is safe to show and to give a file."""
    name = re.sub(r"[^\w.\- ]", "_", name).strip(". ")[:_LONGEST_NAME]
    return name or otherwise
