"""From an item of a collection to its record: cut, scaled, encoded."""

import dataclasses

import numpy as np
from PIL import Image

from tfsemcomp import images
from tfsemcomp.data import planes, records, stored_png, transforms
from tfsemcomp.data.items import Item, Window
from tfsemcomp.errors import SemCompError

MODES = ("short_side", "squash", "centre_crop")
ENCODINGS = ("jpeg", "png", "raw", "source")
# Formats of files that tf.io.decode_image reads as they are.
_STORABLE = ("JPEG", "PNG", "BMP")
# AttnGAN cuts a square around a bird whose half side is this share of its longer side.
_BOX_SHARE = 0.75


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is done to each picture.

    Attributes:
        height, width: pixels, by `mode`; 0 keeps every picture's own size.
        mode: "short_side" scales pictures whose short side is longer than `height` down
            to it; "squash" scales to height x width whatever the aspect; "centre_crop"
            does so with the largest part in the middle that has the aspect.
        encoding: "jpeg" of `quality`; "png", lossless; "raw", lossless and read several
            times faster than both, at three bytes a pixel (stored_png.py); "source",
            the file's own bytes, or PNG for what tf.io.decode_image would not show
            upright and whole.
        quality: of JPEG, 1..100; chroma is subsampled below 90.
        box_crop: cut the square around the item's box before, if it has one.
    """

    height: int = 256
    width: int = 256
    mode: str = "short_side"
    encoding: str = "jpeg"
    quality: int = 95
    box_crop: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}; got '{self.mode}'.")
        if self.encoding not in ENCODINGS:
            raise ValueError(
                f"`encoding` must be one of {ENCODINGS}; got '{self.encoding}'."
            )
        if not 1 <= self.quality <= 100:
            raise ValueError(f"`quality` must be from 1 to 100; got {self.quality}.")
        if min(self.height, self.width) < 0 or (self.height == 0) != (self.width == 0):
            raise ValueError(
                "`height` and `width` must both be positive, or both 0; got "
                f"{self.height} and {self.width}."
            )
        if self.mode == "short_side" and self.height != self.width:
            raise ValueError(
                "`mode` short_side takes one size; for "
                f"{self.height}x{self.width} use squash or centre_crop."
            )
        if self.encoding == "source" and (self.height or self.box_crop):
            raise ValueError(
                "`encoding` source keeps the files as they are: it needs size 0 and no "
                "`box_crop`."
            )


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of "256" or "512x1024" (height first).

    Raises:
        ValueError: for another form.
    """
    height, cross, width = text.lower().partition("x")
    if not height.isdigit() or (cross and not width.isdigit()):
        raise ValueError(f"`size` must be like 256 or 512x1024; got '{text}'.")
    return int(height), int(width or height)


def prepare(
    item: Item,
    preparation: Preparation,
    *,
    dataset: str = "",
    split: str = "",
    map_table: bytes | None = None,
) -> records.Record:
    """Reads an item's files and makes its record.

    Args:
        item: the item.
        preparation: what to do.
        dataset: name of the collection.
        split: of the item.
        map_table: see `items.Collection`.

    Raises:
        SemCompError: a file that cannot be read, in one line that names it.
    """
    if isinstance(item.image, bytes):
        data = item.image
        loaded = images.load_bytes(data, name=item.name)
    else:
        data = _read(item.image)
        loaded = images.load_bytes(data, name=item.image)
    pixels, drawn = loaded.pixels, item.edges
    if item.drawing:
        pixels, drawn = _halves(pixels, item)
    window, (height, width) = geometry(*pixels.shape[:2], preparation, item.box)
    scaled = _cut(pixels, window, height, width)
    as_it_is = preparation.encoding == "source" and not item.drawing
    as_it_is = as_it_is and _shows_upright(loaded, data)
    return records.Record(
        image=data if as_it_is else _encode(scaled, preparation),
        name=item.name,
        height=height,
        width=width,
        label=item.label,
        class_text=item.class_text,
        captions=item.captions,
        label_map=_plane(
            item.label_map,
            lambda plane: planes.read_label_map(plane, map_table),
            lambda plane: planes.nearest(plane, window, height, width),
        ),
        instances=_plane(
            item.instances,
            planes.read_instances,
            lambda plane: planes.nearest(plane, window, height, width),
        ),
        edges=_plane(
            drawn,
            planes.read_edges,
            lambda plane: planes.strongest(plane, window, height, width),
        ),
        split=split,
        dataset=dataset,
    )


def geometry(
    height: int,
    width: int,
    preparation: Preparation,
    box: tuple[float, float, float, float] | None = None,
) -> tuple[Window, tuple[int, int]]:
    """The part of a picture that is kept, and the size that it gets.

    Args:
        height, width: of the picture, pixels.
        preparation: what to do.
        box: see `items.Item`.

    Returns: the part, and height and width of the result in pixels.
    """
    top, left, bottom, right = 0, 0, height, width
    if preparation.box_crop and box is not None:
        top, left, bottom, right = _square_around(box, height, width)
    kept = np.array([bottom - top, right - left])
    wanted = np.array([preparation.height, preparation.width])
    size = kept
    if preparation.height and preparation.mode == "short_side":
        scale = min(1.0, preparation.height / min(kept))
        size = np.maximum(1, np.rint(kept * scale)).astype(int)
    elif preparation.height:
        size = wanted
    if preparation.height and preparation.mode == "centre_crop":
        cut = np.maximum(1, np.floor(wanted * min(kept / wanted) + 1e-6)).astype(int)
        top, left = np.array([top, left]) + (kept - cut) // 2
        bottom, right = np.array([top, left]) + cut
    window = (top / height, left / width, bottom / height, right / width)
    return window, (int(size[0]), int(size[1]))


def _square_around(
    box: tuple[float, float, float, float], height: int, width: int
) -> tuple[int, int, int, int]:
    top, left, bottom, right = box
    if max(box) <= 1:
        top, bottom, left, right = (
            *(top * height, bottom * height),
            *(left * width, right * width),
        )
    middle_y, middle_x = (top + bottom) / 2, (left + right) / 2
    half = _BOX_SHARE * max(bottom - top, right - left)
    top, left = max(0, int(middle_y - half)), max(0, int(middle_x - half))
    bottom, right = min(height, int(middle_y + half)), min(width, int(middle_x + half))
    if bottom <= top or right <= left:
        raise SemCompError(f"the box {box} lies outside of {height}x{width} pixels.")
    return top, left, bottom, right


def _cut(pixels: np.ndarray, window: Window, height: int, width: int) -> np.ndarray:
    sides = np.array([*pixels.shape[:2]] * 2)
    top, left, bottom, right = np.rint(np.array(window) * sides).astype(int)
    return transforms.resize(pixels[top:bottom, left:right], height, width)


def _plane(source, read, scale) -> bytes:
    if isinstance(source, str) and not source:
        return b""
    return planes.encode(scale(read(source)))


def _halves(pixels: np.ndarray, item: Item) -> tuple[np.ndarray, np.ndarray]:
    """The photo, and the drawing with lines = 255."""
    middle = pixels.shape[1] // 2
    if middle < 1 or pixels.shape[1] % 2:
        raise SemCompError(
            f"{item.name}: {pixels.shape[1]} columns are not two halves of one size."
        )
    drawing, photo = pixels[:, :middle], pixels[:, middle:]
    if item.drawing == "right":
        drawing, photo = photo, drawing
    return photo, 255 - np.asarray(Image.fromarray(drawing).convert("L"))


def _shows_upright(loaded: images.LoadedImage, data: bytes) -> bool:
    """Whether tf.io.decode_image shows a file as `images` does."""
    if loaded.notes or loaded.format not in _STORABLE:
        return False
    # `loaded` has the block with orientation 1, the file the one that was stored.
    return loaded.exif is None or loaded.exif in data


def _encode(pixels: np.ndarray, preparation: Preparation) -> bytes:
    if preparation.encoding == "jpeg":
        return images.encode(pixels, "jpeg", quality=preparation.quality)
    if preparation.encoding == "raw":
        return stored_png.encode(pixels)
    return images.encode(pixels, "png")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SemCompError(f"cannot read {path}: {error.strerror or error}.") from error
