"""ROI maps: how much each pixel of a photo matters, in [0, 1].

Sources of a map (see `resolve_map`): the MSROI network's two methods, network-free
maps, a user's mask or array, and weighted mixtures of all of these.
"""

import io
import os
import pathlib
import re
from collections.abc import Callable

import numpy as np
from absl import logging
from PIL import Image

from tfsemcomp import images
from tfsemcomp.errors import BitstreamError, SemCompError
from tfsemcomp.serving import manifest, runner
from tfsemcomp.serving.runner import Runner

NETWORK_METHODS = ("cam_topk", "class_features")
DEFAULT_METHOD = "class_features"
# Larger frames are scaled down to this short side, where maps agreed best with what
# people look at, on 20 photos kept apart for the choice.
SHORT_SIDE = 288


def resolve_map(
    spec: str | os.PathLike | np.ndarray | None,
    pixels: np.ndarray,
    model: str | os.PathLike | Runner | None = None,
    *,
    server: str | None = None,
) -> np.ndarray:
    """Makes the map that `spec` describes, at the image's size.

    Args:
        spec: None for the default method; a name in `METHODS`; the path of a mask
            (image file or .npy); an array [H,W]; or a mixture such as
            "0.7*class_features+0.3*mask.png", whose weights default to 1.
        pixels: uint8 [H,W,3], the image.
        model: of the network methods; default: the shipped one.
        server: that runs the model, see `serving.addresses`; None runs it here.
    Returns: float32 [H,W] in [0, 1].
    Raises:
        ValueError: if an array has another shape or values outside [0, 1].
        SemCompError: if a part is neither a method nor a file.
    """
    images.check_pixels(pixels)
    if spec is None:
        spec = DEFAULT_METHOD
    if isinstance(spec, np.ndarray):
        return check_map(spec, pixels)
    text = os.fspath(spec)
    if text in METHODS or os.path.exists(text):
        return _single_map(text, pixels, model, server)
    parts = [_parse_part(part) for part in text.split("+")]
    total = sum(weight for weight, _ in parts)
    if total <= 0:
        raise ValueError(f"`map`: the weights of '{text}' must add up to more than 0.")
    mixture = sum(
        np.float32(weight / total) * _single_map(name, pixels, model, server)
        for weight, name in parts
    )
    return np.clip(mixture, 0, 1)


def roi_map(
    pixels: np.ndarray,
    method: str = DEFAULT_METHOD,
    model: str | os.PathLike | Runner | None = None,
) -> np.ndarray:
    """The map of one method.

    Args:
        pixels: uint8 [H,W,3].
        method: a name in `METHODS`.
        model: of the network methods; default: the shipped one.
    Returns: float32 [H,W] in [0, 1].
    Raises:
        ValueError: for an unknown method.
    """
    images.check_pixels(pixels)
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {tuple(METHODS)}; got '{method}'.")
    return _single_map(method, pixels, model, None)


def contrast_map(pixels: np.ndarray) -> np.ndarray:
    """What differs from its surroundings in brightness or colour; no network.

    Centre minus surround at three scales on opponent colours, summed, smoothed.

    Args:
        pixels: uint8 [H,W,3].
    Returns: float32 [H,W] in [0, 1]; zeros for a flat image.
    Source: after Itti, Koch and Niebur, PAMI 1998, without orientation channels.
    """
    small = _scaled(pixels, 128).astype(np.float32)
    red, green, blue = np.moveaxis(small, -1, 0)
    opponents = ((red + green + blue) / 3, red - green, blue - (red + green) / 2)
    side = max(small.shape[:2])
    total = np.zeros(small.shape[:2], np.float32)
    for channel in opponents:
        for scale in (0.01, 0.02, 0.04):
            centre = blur(channel, scale * side)
            total += np.abs(centre - blur(channel, 5 * scale * side))
    return to_size(_stretch(blur(total, 0.02 * side)), pixels)


def spectral_residual_map(pixels: np.ndarray) -> np.ndarray:
    """What the image's smoothed log spectrum does not predict; a classical baseline.

    Args:
        pixels: uint8 [H,W,3].
    Returns: float32 [H,W] in [0, 1].
    Source: Hou and Zhang, CVPR 2007: 64 pixels wide, 3x3 mean of the log spectrum.
    """
    grey = Image.fromarray(pixels).convert("L")
    scale = 64 / max(grey.size)
    size = tuple(max(1, round(side * scale)) for side in grey.size)
    small = np.asarray(grey.resize(size, Image.Resampling.BOX), np.float64)
    spectrum = np.fft.fft2(small)
    log = np.log(np.abs(spectrum) + 1e-9)
    padded = np.pad(log, 1, mode="wrap")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    residual = log - windows.mean(axis=(2, 3))
    back = np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))
    saliency = blur((np.abs(back) ** 2).astype(np.float32), 2.5)
    return to_size(_stretch(saliency), pixels)


def centre_map(pixels: np.ndarray) -> np.ndarray:
    """A centred Gaussian with a quarter of each side as deviation: the plainest guess.

    Args:
        pixels: uint8 [H,W,3].
    Returns: float32 [H,W] in [0, 1].
    """
    y, x = (
        np.exp(-0.5 * ((np.arange(n) + 0.5) / n - 0.5) ** 2 / 0.25**2)
        for n in pixels.shape[:2]
    )
    return _stretch(np.outer(y, x).astype(np.float32))


def uniform_map(pixels: np.ndarray) -> np.ndarray:
    """Ones everywhere: no part matters more than another.

    Args:
        pixels: uint8 [H,W,3].
    Returns: float32 [H,W].
    """
    return np.ones(pixels.shape[:2], np.float32)


def load_map(path: str | os.PathLike, pixels: np.ndarray) -> np.ndarray:
    """Reads a mask and scales it to the image.

    Args:
        path: an image file, whose luma counts (white = important), or .npy with a
            float array [h,w] in [0, 1].
        pixels: uint8 [H,W,3], the image.
    Returns: float32 [H,W] in [0, 1].
    Raises:
        SemCompError: if the file is missing.
        BitstreamError: if it is no image, or an array of another kind.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".npy":
        return _fitted(path, _luma(images.read(path)) / 255, pixels)
    if not path.is_file():
        raise SemCompError(f"{path}: no such map.")
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise BitstreamError(f"{path}: not an array ({error}).") from error
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        raise BitstreamError(
            f"{path}: a map is a float array [h,w]; this is {values.dtype} "
            f"{list(values.shape)}."
        )
    if not (np.isfinite(values).all() and 0 <= values.min() <= values.max() <= 1):
        raise BitstreamError(f"{path}: values of a map must lie in [0, 1].")
    return _fitted(path, values.astype(np.float32), pixels)


def save_map(path: str | os.PathLike, roi: np.ndarray, bits: int = 8) -> None:
    """Writes a map as .npy (float32) or as a grey image of 8 or 16 bits.

    Args:
        path: its suffix chooses the format.
        roi: float [H,W] in [0, 1].
        bits: 8, or 16 for .png.
    Raises:
        ValueError: if `bits` is neither.
        SemCompError: if the file can't be written.
    """
    if bits not in (8, 16):
        raise ValueError(f"`bits` must be 8 or 16; got {bits}.")
    path = pathlib.Path(path)
    if path.suffix.lower() == ".npy":
        images.write_atomic(path, _npy_bytes(roi.astype(np.float32)))
        return
    if bits == 16:
        levels = np.rint(roi * 65535).astype(np.uint16)
        images.write_atomic(path, _png_bytes(levels))
        return
    grey = np.rint(roi * 255).astype(np.uint8)
    images.write(path, np.repeat(grey[..., None], 3, axis=-1))


def overlay(pixels: np.ndarray, roi: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Lays the map over the image in colours from blue (0) to red (1).

    Args:
        pixels: uint8 [H,W,3].
        roi: float [H,W] in [0, 1].
        opacity: of the colours, in [0, 1].
    Returns: uint8 [H,W,3].
    """
    position = roi.astype(np.float32)[..., None] * 4
    offsets = np.float32([3, 2, 1])
    colours = 255 * np.clip(1.5 - np.abs(position - offsets), 0, 1)
    mixed = (1 - opacity) * _luma(pixels)[..., None] + opacity * colours
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def check_map(roi: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Returns a user's array as float32, or says what is wrong with it.

    Raises:
        ValueError: unless it is [H,W] like the image, finite and in [0, 1].
    """
    if roi.shape != pixels.shape[:2]:
        raise ValueError(
            f"`map` must have the image's shape {list(pixels.shape[:2])}; got "
            f"{list(roi.shape)}."
        )
    roi = roi.astype(np.float32)
    if not (np.isfinite(roi).all() and roi.min() >= 0 and roi.max() <= 1):
        raise ValueError("`map` must hold finite values in [0, 1].")
    return roi


def to_size(roi: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Scales a map to an image.

    Args:
        roi: float [h,w] in [0, 1].
        pixels: uint8 [H,W,3], the image.
    Returns: float32 [H,W] in [0, 1].
    """
    height, width = pixels.shape[:2]
    if roi.shape != (height, width):
        plane = Image.fromarray(roi.astype(np.float32), mode="F")
        roi = plane.resize((width, height), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(roi, np.float32), 0, 1)


def blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian filter with mirrored edges: float32 [H,W], sigma in pixels -> same."""
    radius = min(max(1, round(3 * sigma)), max(1, min(plane.shape) - 1))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-3)) ** 2)
    taps /= taps.sum()
    # By Fourier transform: wide filters cost little, and many threads don't contend
    # for the cores as they would in matrix products.
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius, radius)
        padded = np.pad(plane, pad, mode="symmetric")
        length = padded.shape[axis]
        spectrum = np.fft.rfft(padded, axis=axis)
        response = np.fft.rfft(taps, n=length)
        response = response[:, None] if axis == 0 else response
        filtered = np.fft.irfft(spectrum * response, n=length, axis=axis)
        # The first sums wrap around; what follows is complete.
        keep = [slice(None), slice(None)]
        keep[axis] = slice(2 * radius, None)
        plane = filtered[tuple(keep)].astype(np.float32)
    return plane


def _network_map(
    pixels: np.ndarray,
    model: str | os.PathLike | Runner | None,
    method: str,
    server: str | None,
) -> np.ndarray:
    network = model if hasattr(model, "call") else _runner(model, server)
    batch = _scaled(pixels, SHORT_SIDE).astype(np.float32)[None]
    result = network.call("analyze", image=batch)[method][0]
    return to_size(result, pixels)


def _runner(model: str | os.PathLike | None, server: str | None) -> Runner:
    return runner.shared(manifest.choose(model, "msroi_jpeg"), server)


_NETWORK_FREE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contrast": contrast_map,
    "spectral_residual": spectral_residual_map,
    "centre": centre_map,
    "uniform": uniform_map,
}
METHODS = (*NETWORK_METHODS, *_NETWORK_FREE)


def _single_map(
    name: str,
    pixels: np.ndarray,
    model: str | os.PathLike | Runner | None,
    server: str | None,
) -> np.ndarray:
    if name in NETWORK_METHODS:
        return _network_map(pixels, model, name, server)
    if name in _NETWORK_FREE:
        return _NETWORK_FREE[name](pixels)
    if not os.path.exists(name):
        raise SemCompError(
            f"`map`: '{name}' is neither a file nor one of {', '.join(METHODS)}."
        )
    return load_map(name, pixels)


def _parse_part(text: str) -> tuple[float, str]:
    match = re.fullmatch(r"\s*(?:([0-9]*\.?[0-9]+)\s*\*)?\s*(.+?)\s*", text)
    if match is None:
        raise ValueError(f"`map`: '{text}' is not [weight*]method or [weight*]file.")
    return float(match[1] or 1), match[2]


def _scaled(pixels: np.ndarray, short_side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = min(1.0, short_side / min(height, width))
    # A very long side would cost time without need: nothing is seen at that size.
    scale = min(scale, 4 * short_side / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    if size == (width, height):
        return pixels
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _luma(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) @ np.float32([0.299, 0.587, 0.114])


def _fitted(path: pathlib.Path, roi: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    if roi.shape != pixels.shape[:2]:
        logging.info("%s: scaled to the image's size", path)
    return to_size(roi, pixels)


def _stretch(roi: np.ndarray) -> np.ndarray:
    low, high = float(roi.min()), float(roi.max())
    if high - low < 1e-6:
        return np.zeros_like(roi, np.float32)
    return ((roi - low) / (high - low)).astype(np.float32)


def _npy_bytes(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _png_bytes(levels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="PNG")
    return buffer.getvalue()
