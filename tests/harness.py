"""What the tests share: tiny images and the checks that every part must pass."""

import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized


def smooth_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture-like image: gradients, a bright disc, stripes and some noise.

    Returns: uint8 [height, width, 3].
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = y / max(height - 1, 1), x / max(width - 1, 1)
    base = np.stack([160 * x, 120 * y + 60, 200 - 150 * x * y], axis=-1)
    centre = rng.uniform(0.3, 0.7, size=2)
    disc = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) < 0.06
    base[disc] = base[disc] * 0.3 + np.array([150, 20, 60])
    stripes = 25 * np.sin(40 * (x + 0.5 * y)) * (y > 0.6)
    noisy = base + stripes[..., None] + rng.normal(0, 3, size=base.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def noise_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Independent uniform samples, the worst case of every codec.

    Returns: uint8 [height, width, 3].
    """
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)


class SemCompTestCase(parameterized.TestCase):
    """A test case with a folder of its own and the package's shared checks."""

    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
