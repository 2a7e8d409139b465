"""Pairs of pictures for the metrics' tests: photos where scikit-image is there."""

import io

import numpy as np
from PIL import Image

from tests.harness import noise_image, smooth_image


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """The picture after a JPEG round trip."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def noisy(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """The picture with Gaussian noise."""
    noise = np.random.default_rng(7).normal(0, sigma, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def photo(name: str) -> np.ndarray:
    """A bundled scikit-image photo, cut to at most 256x320 to keep tests short."""
    from skimage import data

    pixels = getattr(data, name)()
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels[:256, :320])


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reference and damaged picture by name: photos, generated, odd sizes."""
    smooth = smooth_image(184, 200, seed=1)
    return {
        "astronaut": (photo("astronaut"), jpeg(photo("astronaut"), 50)),
        "chelsea": (photo("chelsea"), jpeg(photo("chelsea"), 15)),
        "coffee": (photo("coffee"), noisy(photo("coffee"), 12)),
        "camera": (photo("camera"), jpeg(photo("camera"), 90)),
        "brick": (photo("brick"), jpeg(photo("brick"), 30)),
        "smooth": (smooth, jpeg(smooth, 75)),
        "odd": (smooth[:177, :193], noisy(smooth, 4)[:177, :193]),
        "noise": (noise_image(192, 184), jpeg(noise_image(192, 184), 60)),
    }


def whole_blocks(pixels: np.ndarray) -> np.ndarray:
    """The picture cut to whole 8x8 blocks."""
    height, width = (side - side % 8 for side in pixels.shape[:2])
    return pixels[:height, :width]
