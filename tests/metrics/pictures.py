"""Pairs of pictures for the metrics' tests."""

import io
import pathlib

import numpy as np
from PIL import Image

from tests.harness import noise_image, smooth_image

PHOTOS = pathlib.Path(__file__).resolve().parents[2] / "recipes" / "demo_photos"


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
    """One of the project's demonstration photos."""
    with Image.open(PHOTOS / f"{name}.png") as file:
        return np.asarray(file.convert("RGB"))


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reference and damaged picture by name: six photos, then drawings and noise.

    Parts of photos, to keep tests short: some of odd sizes, JPEGs from poor to good.
    """
    crops = {
        "astronaut": (photo("astronaut")[:256, :320], 50),
        "astronaut, odd": (photo("astronaut")[101:354, 57:334], 20),
        "chelsea": (photo("chelsea")[40:296, 60:380], 15),
        "chelsea, odd": (photo("chelsea")[20:197, 101:294], 90),
        "coffee": (photo("coffee")[80:288, 40:360], 75),
        "coffee, odd": (photo("coffee")[31:286, 200:501], 5),
    }
    crops = {name: (pixels, jpeg(pixels, q)) for name, (pixels, q) in crops.items()}
    smooth = smooth_image(184, 200, seed=1)
    noise = noise_image(192, 184)
    return crops | {
        "noisy photo": (crops["coffee"][0], noisy(crops["coffee"][0], 12)),
        "smooth": (smooth, jpeg(smooth, 75)),
        "smooth, odd": (smooth[:177, :193], noisy(smooth, 4)[:177, :193]),
        "noise": (noise, jpeg(noise, 60)),
    }


def whole_blocks(pixels: np.ndarray) -> np.ndarray:
    """The picture cut to whole 8x8 blocks."""
    height, width = (side - side % 8 for side in pixels.shape[:2])
    return pixels[:height, :width]
