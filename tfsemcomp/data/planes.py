"""Maps beside a picture: reading them from data sets, scaling and storing them."""

import io
import os
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from tfsemcomp.data import label_maps
from tfsemcomp.data.items import Plane, Window
from tfsemcomp.errors import BitstreamError, SemCompError


def read_label_map(plane: Plane, table: bytes | None = None) -> np.ndarray:
    """Reads a map of class indexes.

    Args:
        plane: the map or its file.
        table: 256 bytes, what each index becomes; None keeps them.

    Returns: uint8 [H,W].
    Raises:
        SemCompError: the file cannot be read or is no map of 8 bits.
    """
    labels = label_maps.read(plane) if isinstance(plane, str) else plane
    return labels if table is None else np.frombuffer(table, np.uint8)[labels]


def read_instances(plane: Plane) -> np.ndarray:
    """Reads a map of instance numbers.

    Returns: uint16 [H,W].
    Raises:
        SemCompError: the file cannot be read or is no grey PNG.
    """
    if not isinstance(plane, str):
        return plane.astype(np.uint16)
    return _read_png(plane, ("L", "P", "I", "I;16")).astype(np.uint16)


def read_edges(plane: Plane) -> np.ndarray:
    """Reads a map of lines, 255 on a line.

    A .mat file is BSDS500's ground truth: the mean of its annotators' boundaries.

    Returns: uint8 [H,W].
    Raises:
        SemCompError: the file cannot be read or is neither a grey PNG nor such a .mat.
    """
    if not isinstance(plane, str):
        return plane
    if not plane.endswith(".mat"):
        return _read_png(plane, ("L", "1")).astype(np.uint8)
    try:
        people = read_mat(plane)["groundTruth"].ravel()
        drawn = [person["Boundaries"].item() > 0 for person in people]
        return np.rint(255 * np.mean(drawn, axis=0)).astype(np.uint8)
    except (KeyError, ValueError, IndexError) as error:
        raise BitstreamError(f"{plane}: no ground truth of BSDS500: {error}.") from None


def read_mat(path: str) -> dict[str, np.ndarray]:
    """Reads a MATLAB file of version 7 or older.

    Raises:
        SemCompError: it cannot be read.
    """
    import scipy.io

    try:
        return scipy.io.loadmat(path)
    except Exception as error:
        # SciPy raises whatever its parser runs into.
        raise SemCompError(f"cannot read {path} as a MATLAB file: {error}.") from error


def nearest(plane: np.ndarray, window: Window, height: int, width: int) -> np.ndarray:
    """Cuts and scales a map; each pixel takes the nearest one's number.

    Args:
        plane: [H,W].
        window: what to keep.
        height: rows wanted.
        width: columns wanted.
    Returns: [height,width], dtype of `plane`.
    """
    top, left, bottom, right = window
    rows = top + (np.arange(height) + 0.5) / height * (bottom - top)
    columns = left + (np.arange(width) + 0.5) / width * (right - left)
    rows = (rows * plane.shape[0]).astype(int)
    columns = (columns * plane.shape[1]).astype(int)
    return plane[np.ix_(rows, columns)]


def strongest(plane: np.ndarray, window: Window, height: int, width: int) -> np.ndarray:
    """Cuts and scales a map of lines; none is lost, since the largest number wins.

    Args, returns: as of `nearest`.
    """
    rows, columns = plane.shape
    top, bottom = _whole_pixels(window[0], window[2], rows)
    left, right = _whole_pixels(window[1], window[3], columns)
    cut = plane[top:bottom, left:right]
    for axis, wanted in ((0, height), (1, width)):
        have = cut.shape[axis]
        if wanted < have:
            starts = np.arange(wanted) * have // wanted
            cut = np.maximum.reduceat(cut, starts, axis=axis)
        else:
            cut = cut.take(np.arange(wanted) * have // wanted, axis=axis)
    return cut


def smooth(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales a map of amounts, each pixel the mean of those that it takes the place of.

    Args:
        plane: uint8 [H,W].
        height: rows wanted.
        width: columns wanted.
    Returns: uint8 [height,width].
    """
    bilinear = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(plane).resize((width, height), bilinear))


def _whole_pixels(start: float, end: float, count: int) -> tuple[int, int]:
    """The pixels of a range of shares, at least one of `count`."""
    first = min(round(start * count), count - 1)
    return first, max(round(end * count), first + 1)


def encode(plane: np.ndarray) -> bytes:
    """Makes the PNG of a map: uint8 or uint16 [H,W], bits as in the array."""
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plane)).save(content, "PNG", optimize=True)
    return content.getvalue()


def decode(data: bytes, name: str) -> np.ndarray:
    """What `encode` made the bytes of; `name` is for messages only.

    Returns: uint8 or uint16 [H,W].
    Raises:
        BitstreamError: no whole grey PNG.
    """
    try:
        plane = _decode_png(io.BytesIO(data), ("L", "I", "I;16"), name)
    except (OSError, SyntaxError, ValueError) as error:
        raise BitstreamError(f"{name}: no whole PNG: {error}.") from error
    return plane if plane.dtype == np.uint8 else plane.astype(np.uint16)


def _read_png(path: str, modes: tuple[str, ...]) -> np.ndarray:
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            return _decode_png(file, modes, path)
    except (OSError, SyntaxError, ValueError) as error:
        raise SemCompError(f"cannot read the map {name} at {path}: {error}.") from error


def _decode_png(file: BinaryIO, modes: tuple[str, ...], name: str) -> np.ndarray:
    picture = PngImagePlugin.PngImageFile(file)
    if picture.mode not in modes:
        raise BitstreamError(
            f"{name}: a map must be a PNG of mode {' or '.join(modes)}, not "
            f"{picture.mode}."
        )
    if picture.mode == "1":
        picture = picture.convert("L")
    return np.array(picture)
